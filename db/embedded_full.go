//go:build full && linux

package db

import _ "embed"

// Made by `make dist-full`.
var (
	//go:embed embedded/version
	embeddedVersion string
	//go:embed embedded/programs.sum
	embeddedSums string
	//go:embed embedded/programs.tar.zst
	embeddedPrograms []byte
	//go:embed embedded/cluster.tar.zst
	embeddedCluster []byte
)

var embedded = &embeddedPostgres{version: embeddedVersion, sums: embeddedSums, programs: embeddedPrograms, cluster: embeddedCluster}
