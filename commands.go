package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"

	"videotutorials/db"
)

// commands are what the program can be told to do, with the settings of all of them.
type commands struct {
	config  `embed:""`
	Version kong.VersionFlag `help:"Show version, commit and date of this program."`
	Serve   struct{}         `cmd:"" default:"1" help:"Run the site (the default)."`
	Migrate struct{}         `cmd:"" help:"Install Message DB and apply the migrations, then end."`
	Demo_   struct{}         `cmd:"" name:"demo" help:"Make the demo lessons and publish them, then end."`
	Admin   struct {
		Grant  roleChange `cmd:"" help:"Make a registered person an administrator, or give them another role."`
		Revoke roleChange `cmd:"" help:"Take the role away again."`
	} `cmd:"" help:"Say who administers the site."`
	Doctor      doctorAsked  `cmd:"" help:"Check databases, keys, disk, ffmpeg, mail server and bucket, and say how to mend what is wrong."`
	Backup      backupTo     `cmd:"" help:"Write messages, view data and keys to one file, while the site runs or while it does not."`
	Restore     restoreFrom  `cmd:"" help:"Put a backup into empty databases, and check it."`
	Rebuild     rebuildAsked `cmd:"" help:"Make the rows of a view anew from the messages, show what differs, and serve them."`
	Trace       traceOf      `cmd:"" help:"Print what one request set off, as a tree of messages."`
	Config      struct{}     `cmd:"" help:"Print each setting, its value and where that comes from; secrets are not shown."`
	Healthcheck struct{}     `cmd:"" help:"Ask the site on this machine whether it is alive; the exit code says it."`
	Populate    struct {
		Number int `arg:"" optional:"" default:"15" help:"How many."`
	} `cmd:"" help:"Register a number of people to try things out with, then end."`
	Man        struct{} `cmd:"" help:"Print the manual page."`
	Completion struct {
		Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: bash, zsh or fish."`
	} `cmd:"" help:"Print what lets a shell complete commands and flags."`
}

// examples are shown by --help of each command and in the manual.
var examples = map[string]string{
	"serve":        "video-tutorials serve --port 8080 --data-dir /var/lib/video-tutorials",
	"migrate":      "video-tutorials migrate --database-url postgres://owner@db.example/views --message-store-connection-string postgres://owner@db.example/message_store",
	"demo":         "video-tutorials demo --data-dir /var/lib/video-tutorials",
	"admin grant":  "video-tutorials admin grant ada@example.com",
	"admin revoke": "video-tutorials admin revoke ada@example.com --role creator",
	"doctor":       "video-tutorials doctor --json",
	"backup":       "video-tutorials backup /var/backups/ --media",
	"restore":      "video-tutorials restore /var/backups/video-tutorials-20261123-040000.zip --data-dir /var/lib/video-tutorials",
	"rebuild":      "video-tutorials rebuild catalogue --yes",
	"trace":        "video-tutorials trace 7c9e6679-7425-40de-944b-e07fc1f90ae7",
	"config":       "video-tutorials config --port 8080",
	"healthcheck":  "video-tutorials healthcheck --port 8080",
	"populate":     "video-tutorials populate 100",
	"man":          "video-tutorials man | man --local-file -",
	"completion":   "video-tutorials completion bash > /etc/bash_completion.d/video-tutorials",
}

// parser reads a command line into c; exit is called where kong has shown something and has
// no more to do.
func (c *commands) parser(out, errs io.Writer, exit func(int)) (*kong.Kong, error) {
	parser, err := kong.New(c, kong.Name("video-tutorials"), kong.Writers(out, errs), kong.Vars{"version": versionLine()},
		kong.Description("An event-sourced site of short video lessons. Each flag can be set by the environment variable beside it, also in a file .env in the working folder."),
		kong.Exit(exit))
	if err != nil {
		return nil, fmt.Errorf("command line: %w", err)
	}
	for _, command := range parser.Model.Leaves(true) {
		command.Detail = "Example:\n\n  " + examples[commandPath(command)]
	}
	return parser, nil
}

// commandPath is the name of a command with those above it, as "admin grant".
func commandPath(n *kong.Node) string {
	if n.Parent == nil || n.Parent.Type == kong.ApplicationNode {
		return n.Name
	}
	return commandPath(n.Parent) + " " + n.Name
}

// run is the program: one command with its configuration.
func run(ctx context.Context, args []string, out, errs io.Writer) error {
	fromFile, err := readDotEnv(".env")
	if err != nil {
		return err
	}
	var c commands
	done := false
	parser, err := c.parser(out, errs, func(int) { done = true })
	if err != nil {
		return err
	}
	parsed, err := parser.Parse(args)
	if done { // --help or --version has been shown
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w (see --help)", err)
	}
	switch parsed.Command() {
	case "man":
		return printManual(out, parser.Model)
	case "completion <shell>":
		return printCompletion(out, parser.Model, c.Completion.Shell)
	case "config": // also where a value makes no sense
		if err := showConfig(out, parsed, fromFile); err != nil {
			return err
		}
	}
	level, err := c.config.check()
	if err != nil {
		return err
	}
	p := &program{config: c.config, log: newLog(errs, c.config.LogFormat, level)}
	if parsed.Command() == "serve" {
		return p.serve(ctx, out)
	}
	defer p.close()
	p.joins = true
	switch parsed.Command() {
	case "config":
		return nil
	case "healthcheck":
		return p.healthcheck(ctx, out)
	case "trace <id>":
		return p.printTrace(ctx, out, c.Trace)
	case "migrate":
		return p.migrate(ctx)
	case "doctor":
		return p.doctor(ctx, out, c.Doctor)
	case "backup <file|folder>":
		return p.writeBackup(ctx, out, c.Backup)
	case "restore <file>":
		return p.restore(ctx, out, c.Restore)
	}
	if err := p.open(ctx); err != nil {
		return err
	}
	switch parsed.Command() {
	case "rebuild <name>":
		return p.rebuild(ctx, os.Stdin, out, c.Rebuild)
	case "demo":
		return p.makeDemo(ctx)
	case "admin grant <email>":
		return p.grantRole(ctx, out, c.Admin.Grant)
	case "admin revoke <email>":
		return p.revokeRole(ctx, out, c.Admin.Revoke)
	case "populate", "populate <number>":
		return p.populate(ctx, out, c.Populate.Number)
	}
	return fmt.Errorf("command line: %s is no command", parsed.Command())
}

func (p *program) migrate(ctx context.Context) error {
	viewsURL, messagesURL, err := p.databases(ctx)
	if err != nil {
		return err
	}
	return db.Migrate(ctx, viewsURL, messagesURL, p.log)
}
