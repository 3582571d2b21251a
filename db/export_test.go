package db

import (
	"context"
	"os"
	"path/filepath"
)

var (
	Silent     = silent
	Candidates = candidates
)

const LongestServerLog = longestServerLog

// ChooseBinaries chooses among the installations in some folders, as for databases that were made by a version.
func ChooseBinaries(ctx context.Context, madeBy int, dirs ...string) (Binaries, error) {
	var found []Binaries
	for _, dir := range dirs {
		found = append(found, Binaries{Dir: dir, Source: "test"})
	}
	return chooseBinaries(ctx, found, "/some/folder", madeBy)
}

// RollBack takes the latest migration of a database back and returns how many are pending then.
func RollBack(viewsURL, messageStoreURL string) (pending int, err error) {
	set, databaseURL := viewMigrations, viewsURL
	if databaseURL == "" {
		set, databaseURL = messageStoreMigrations, messageStoreURL
	}
	mate, err := set.dbmate(databaseURL)
	if err != nil {
		return 0, err
	}
	if err := mate.Rollback(); err != nil {
		return 0, err
	}
	files, err := set.pending(mate)
	return len(files), err
}

// TrimmedLog writes a log that is too long, says last in the end, and returns the file as it is after trimming.
func TrimmedLog(dir, last string) ([]byte, error) {
	path := filepath.Join(dir, "log")
	log, err := openServerLog(path)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	if _, err := log.file.Write(make([]byte, longestServerLog)); err != nil {
		return nil, err
	}
	if _, err := log.file.WriteString(last); err != nil {
		return nil, err
	}
	log.trim()
	return os.ReadFile(path)
}
