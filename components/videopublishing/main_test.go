package videopublishing

import (
	"os"
	"testing"

	"videotutorials/db/dbtest"
)

func TestMain(m *testing.M) {
	os.Setenv("AWS_ACCESS_KEY_ID", "someone")
	os.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	os.Setenv("AWS_CONFIG_FILE", os.DevNull)
	os.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	if text := os.Getenv(workerVariable); text != "" {
		workUntilKilled(text)
	}
	dbtest.Main(m)
}
