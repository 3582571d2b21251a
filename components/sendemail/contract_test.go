package sendemail

import (
	"testing"

	"videotutorials/components/sendemail/sendemailmsg"
	"videotutorials/messagestore/messagestoretest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	messagestoretest.Contract(t, "contract.md", sendemailmsg.Send{}, sendemailmsg.Sent{}, sendemailmsg.Failed{}, sendemailmsg.Postponed{})
}
