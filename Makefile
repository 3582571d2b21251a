# `make run` and `make test` are all that anyone needs; `make help` lists the rest.
.DEFAULT_GOAL := help
.PHONY: help run run-replicas test check build generate contracts bench screenshots dist dist-full image beanstalk ecs sbom lint
export CGO_ENABLED ?= 0
GO_SOURCES = $(shell git ls-files -co --exclude-standard '*.go' '*.sql' go.mod go.sum 2>/dev/null || find . -name '*.go' -o -name '*.sql')
VERSION = $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT = $(shell git rev-parse HEAD 2>/dev/null)
COMMITTED = $(shell TZ=UTC git log -1 --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ 2>/dev/null)
ARCHITECTURE = $(or $(GOARCH),$(shell go env GOARCH))
# The folder of the sources and the time leave no trace, so the same commit gives the same file.
DIST_BUILD = CGO_ENABLED=0 GOOS=linux go build -trimpath -buildvcs=false -ldflags '-s -w -buildid= -X main.version=$(VERSION) -X main.commit=$(COMMIT) -X main.date=$(COMMITTED)'
GENERATED = assets/dist/manifest.json db/messagedb/VERSION.txt

help: ## List the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 12

run: export ENVIRONMENT ?= development
run: build ## Build and start the site to try it out; Ctrl-C stops it. Everything is kept in ./data.
	@deploy/tools.sh ffmpeg
	@exec bin/video-tutorials

run-replicas: build ## Start the system in five processes behind a proxy: two for the web, two for the components.
	@deploy/tools.sh caddy ffmpeg
	@exec deploy/replicas/run.sh

test: build ## Run everything: checks, unit tests, end-to-end tests in Chromium.
	@deploy/tools.sh caddy chromium ffmpeg nginx strip systemd-analyze unzip zip zstd
	@$(MAKE) --no-print-directory lint
	@# The whole program and Chromium first and by themselves: they need the machine.
	@# Without the option every process under the race detector sleeps for a second when it ends.
	CGO_ENABLED=1 GORACE=atexit_sleep_ms=0 go test -race -timeout 30m .
	CGO_ENABLED=1 GORACE=atexit_sleep_ms=0 go test -race -timeout 30m $$(go list ./... | tail -n +2)

check: test ## Exactly what CI runs.

build: bin/video-tutorials ## Build bin/video-tutorials, a static binary.

generate: $(GENERATED) ## Fetch the npm packages and make what the binary embeds.

contracts: ## Write app/contracts/asyncapi.json anew; refused where a change breaks readers.
	go test ./app/contracts -run '^TestDocument$$' -count=1 -update

bench: build ## Measure against a floor in the same run; the figures go to docs/benchmarks.md.
	@deploy/tools.sh pgbench wrk
	go test -run '^$$' -bench Site -benchtime 1x -timeout 60m .
	go test -run '^$$' -bench Transcode -benchtime 2x -timeout 30m ./components/videopublishing/ffmpeg

screenshots: build ## Make the pictures of the documents anew: some minutes, with the demo lessons.
	@deploy/tools.sh chromium ffmpeg
	go test -tags screenshots -run '^TestScreenshots$$' -count=1 -timeout 20m .

dist: $(GENERATED) ## Build the file to hand out, dist/video-tutorials-VERSION-linux-ARCHITECTURE; GOARCH=arm64 builds for another machine.
	$(DIST_BUILD) -o dist/video-tutorials-$(VERSION)-linux-$(ARCHITECTURE) .
	@cd dist && sha256sum video-tutorials-* > SHA256SUMS

dist-full: db/embedded/version ## Build the same with Postgres inside, for machines like this one.
	@test "$(ARCHITECTURE)" = "$$(go env GOHOSTARCH)" || { echo "a full build is made on a machine of its kind: this one is $$(go env GOHOSTARCH)"; exit 1; }
	$(DIST_BUILD) -tags full -o dist/video-tutorials-full-$(VERSION)-linux-$(ARCHITECTURE) .
	@cd dist && sha256sum video-tutorials-* > SHA256SUMS

image: ## Build the container image video-tutorials:VERSION, which deploy/docker/compose.yaml runs; it needs Docker.
	docker build --file deploy/docker/Dockerfile --build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) --build-arg DATE=$(COMMITTED) --tag video-tutorials:$(VERSION) --tag video-tutorials .

beanstalk: dist ## Pack dist/video-tutorials-VERSION-beanstalk.zip, which Elastic Beanstalk is given.
	@deploy/tools.sh zip
	deploy/beanstalk.sh dist/video-tutorials-$(VERSION)-linux-$(ARCHITECTURE) dist/video-tutorials-$(VERSION)-beanstalk.zip

ecs: ## Make deploy/ecs/template.json anew and check what must hold of it; fetches aws-cdk-lib.
	cd deploy/ecs && npm ci && node app.js && npm test

sbom: build ## List what the program is made of, with licences, also as dist/sbom.cdx.json (CycloneDX).
	go run ./deploy/sbom bin/video-tutorials dist/sbom.cdx.json

db/embedded/version: deploy/dist-postgres.sh package-lock.json $(shell find db/migrations -name '*.sql') db/datafolder.go | bin/video-tutorials
	@deploy/tools.sh strip zstd
	deploy/dist-postgres.sh bin/video-tutorials db/embedded

lint:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "gofmt would change: $$unformatted"; exit 1; }
	@go tool templ generate -log-level error && git diff --exit-code -- '*_templ.go' || { echo "a _templ.go differs from its .templ: run go tool templ generate"; exit 1; }
	@go vet ./... && go vet -tags screenshots .
	@go tool staticcheck ./...

bin/video-tutorials: $(GENERATED) $(GO_SOURCES)
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o $@ .

$(GENERATED) &: package.json package-lock.json assets/build.mjs $(wildcard assets/css/* assets/js/* assets/icon/*) $(wildcard views/*.templ)
	go generate ./...
	@touch $(GENERATED)
