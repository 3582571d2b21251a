package administration_test

import (
	"testing"

	"videotutorials/components/administration/administrationmsg"
	"videotutorials/messagestore/messagestoretest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	messagestoretest.Contract(t, "contract.md", administrationmsg.PageOpened{}, administrationmsg.SearchMade{}, administrationmsg.DataRevealed{}, administrationmsg.AccountRevealed{},
		administrationmsg.RebuildStarted{}, administrationmsg.RebuildSwitched{}, administrationmsg.RebuildCancelled{})
}
