package main

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"videotutorials/db/dbtest"
)

// doctorSays runs doctor --json with an environment and returns the findings by their names.
func doctorSays(t *testing.T, env ...string) (map[string]finding, error) {
	t.Helper()
	program, err := built()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(within(t), program, "doctor", "--json")
	command.Dir = t.TempDir()
	command.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, env...)
	out, failed := command.Output()
	var all []finding
	if err := json.Unmarshal(out, &all); err != nil {
		t.Fatalf("%v\n%s\n%v", err, out, failed)
	}
	by := map[string]finding{}
	for _, f := range all {
		if f.Says == "" || f.Status == "fail" && f.Mend == "" {
			t.Errorf("%+v says too little", f)
		}
		by[f.Check] = f
	}
	return by, failed
}

func statuses(t *testing.T, by map[string]finding, want map[string]string) {
	t.Helper()
	for name, status := range want {
		if by[name].Status != status {
			t.Errorf("%s: %+v, want %s", name, by[name], status)
		}
	}
}

func TestDoctorFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	database, dir := dbtest.New(t), folder(t)
	s := start(t, dir, environment(database))
	by, err := doctorSays(t, s.env...)
	if err != nil {
		t.Errorf("a site that is well: %v, %+v", err, by)
	}
	for name, f := range by {
		if f.Status == "fail" {
			t.Errorf("a site that is well: %s: %+v", name, f)
		}
	}
	statuses(t, by, map[string]string{
		"message store": "ok", "message store: Message DB": "ok", "message store: migrations": "ok", "message store: rights": "ok", "message store: notifications": "ok",
		"message store: clock": "ok", "message store: only added to": "ok", "identity key": "ok",
		"view data": "ok", "view data: migrations": "ok", "view data: rights": "ok", "view data: notifications": "ok", "videos": "ok", "mails": "ok",
	})
	s.stop()

	// A mail server that hangs up, another key, triggers that are off, a user with few rights.
	hangsUp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hangsUp.Close()
	go func() {
		for {
			conn, err := hangsUp.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	if _, err := database.MessageStore.Exec(within(t), `ALTER TABLE message_store.messages DISABLE TRIGGER refuse_change`); err != nil {
		t.Fatal(err)
	}
	stranger := strangerTo(t, database.ViewsURL)
	by, err = doctorSays(t, "DATABASE_URL="+stranger, "MESSAGE_STORE_CONNECTION_STRING="+database.MessageStoreURL, "DATA_DIR="+dir,
		"IDENTITY_KEY="+strings.Repeat("different", 4), "SMTP_URL=smtp://"+hangsUp.Addr().String(), "PATH=/nowhere")
	if err == nil {
		t.Error("what is wrong is no exit code")
	}
	statuses(t, by, map[string]string{
		"message store: only added to": "fail", "identity key": "fail", "mails": "fail", "ffmpeg": "warn", "view data": "ok", "view data: rights": "fail", "view data: notifications": "ok", "cookie secret": "warn",
	})

	by, err = doctorSays(t, "DATABASE_URL=postgres://localhost:1/x", "MESSAGE_STORE_CONNECTION_STRING="+dbtest.NewEmpty(t).MessageStoreURL, "DATA_DIR="+dir)
	if err == nil {
		t.Error("a database that is away is no exit code")
	}
	statuses(t, by, map[string]string{
		"view data": "fail", "message store": "ok", "message store: Message DB": "warn", "message store: migrations": "warn", "message store: rights": "ok", "identity key": "ok",
	})
	nothing := t.TempDir()
	if by, err = doctorSays(t, "DATA_DIR="+nothing); err != nil || by["databases"].Status != "ok" {
		t.Errorf("before the first start: %v, %+v", err, by["databases"])
	}
	if left, _ := filepath.Glob(filepath.Join(nothing, "*")); len(left) > 0 {
		t.Errorf("doctor has made %v", left)
	}
}

// strangerTo makes a user who may connect and nothing else, and returns its address.
func strangerTo(t *testing.T, databaseURL string) string {
	t.Helper()
	admin, err := pgx.Connect(within(t), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.WithoutCancel(t.Context()))
	name := "stranger_" + admin.Config().Database
	if _, err := admin.Exec(within(t), `CREATE ROLE `+name+` LOGIN; GRANT SELECT ON applied_view_migrations TO `+name); err != nil {
		t.Fatal(err)
	}
	return strings.Replace(databaseURL, "postgres://postgres@", "postgres://"+name+"@", 1)
}
