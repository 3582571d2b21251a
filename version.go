package main

import (
	"cmp"
	"runtime/debug"
)

// What `make dist` sets when it links the program.
var version, commit, date string

// versionLine tells which build this is: version, commit and the commit's date, which
// the same sources always give.
func versionLine() string {
	version, commit, date := version, commit, date
	if info, ok := debug.ReadBuildInfo(); ok && commit == "" {
		version = cmp.Or(version, info.Main.Version)
		for _, setting := range info.Settings {
			switch setting.Key {
			case "vcs.revision":
				commit = setting.Value
			case "vcs.time":
				date = setting.Value
			}
		}
	}
	return "video-tutorials " + cmp.Or(version, "(devel)") + ", commit " + cmp.Or(commit, "unknown") + ", " + cmp.Or(date, "date unknown")
}
