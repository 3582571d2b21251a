package main

import (
	"cmp"
	"runtime/debug"
)

// What `make dist` sets when it links the program.
var version, commit, date string

// thisBuild tells which build this is: version, commit and the commit's date, which the
// same sources always give.
func thisBuild() (v, revision, at string) {
	v, revision, at = version, commit, date
	if info, ok := debug.ReadBuildInfo(); ok && revision == "" {
		v = cmp.Or(v, info.Main.Version)
		for _, setting := range info.Settings {
			switch setting.Key {
			case "vcs.revision":
				revision = setting.Value
			case "vcs.time":
				at = setting.Value
			}
		}
	}
	return cmp.Or(v, "(devel)"), cmp.Or(revision, "unknown"), cmp.Or(at, "date unknown")
}

// versionLine tells it in one line.
func versionLine() string {
	v, revision, at := thisBuild()
	return "video-tutorials " + v + ", commit " + revision + ", " + at
}
