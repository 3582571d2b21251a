package viewing_test

import (
	"testing"

	"videotutorials/components/viewing/viewingmsg"
	"videotutorials/messagestore/messagestoretest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	messagestoretest.Contract(t, "contract.md", viewingmsg.VideoViewed{})
}
