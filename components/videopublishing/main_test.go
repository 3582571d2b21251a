package videopublishing

import (
	"testing"

	"videotutorials/db/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }
