package authentication_test

import (
	"testing"

	"videotutorials/components/authentication/authenticationmsg"
	"videotutorials/messagestore/messagestoretest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	messagestoretest.Contract(t, "contract.md", authenticationmsg.UserLoggedIn{}, authenticationmsg.UserLoginFailed{}, authenticationmsg.SessionEnded{})
}
