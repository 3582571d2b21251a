package videopublishing_test

import (
	"testing"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/messagestore/messagestoretest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	messagestoretest.Contract(t, "contract.md", publishingmsg.VideoPublished{}, publishingmsg.VideoNamed{}, publishingmsg.VideoDescribed{})
}
