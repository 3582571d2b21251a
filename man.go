package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// printManual writes the manual page, in the language of troff, from what --help knows.
func printManual(out io.Writer, app *kong.Application) error {
	var b strings.Builder
	name := app.Name
	fmt.Fprintf(&b, ".TH %s 1 \"\" \"\" \"User Commands\"\n", strings.ToUpper(troff(name)))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- an event-sourced site of short video lessons\n", troff(name))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n[\\fICOMMAND\\fR] [\\fIFLAGS\\fR]\n", troff(name))
	fmt.Fprintf(&b, ".SH DESCRIPTION\n%s\n", troff(app.Help))
	b.WriteString(".SH COMMANDS\n")
	for _, command := range app.Leaves(true) {
		synopsis := "\\fB" + troff(commandPath(command)) + "\\fR"
		for _, p := range command.Positional {
			synopsis += " \\fI" + troff(p.ShortSummary()) + "\\fR"
		}
		fmt.Fprintf(&b, ".TP\n%s\n%s\n", synopsis, troff(command.Help))
		for _, p := range command.Positional {
			fmt.Fprintf(&b, ".RS\n.TP\n\\fI%s\\fR\n%s\n.RE\n", troff(p.ShortSummary()), troff(p.Help))
		}
		for _, f := range command.Flags {
			fmt.Fprintf(&b, ".RS\n.TP\n%s\n%s\n.RE\n", flagInManual(f), troff(f.Help))
		}
		fmt.Fprintf(&b, ".RS\n.PP\n.EX\n%s\n.EE\n.RE\n", troff(examples[commandPath(command)]))
	}
	b.WriteString(".SH FLAGS AND ENVIRONMENT\n")
	for _, f := range app.Flags {
		if f.Hidden {
			continue
		}
		says := troff(f.Help)
		if len(f.Envs) > 0 {
			says += "\nEnvironment: \\fB" + troff(f.Envs[0]) + "\\fR."
		}
		if f.HasDefault && f.Default != "" {
			says += "\nDefault: " + troff(f.Default) + "."
		}
		fmt.Fprintf(&b, ".TP\n%s\n%s\n", flagInManual(f), says)
	}
	b.WriteString(".SH FILES\n.TP\n\\fB.env\\fR\nIn the working folder: lines NAME=value for variables that the environment does not set.\n")
	b.WriteString(".SH EXIT STATUS\n0 where the command did its work, 1 where it did not; the last line on the standard error says why.\n")
	_, err := io.WriteString(out, b.String())
	return err
}

func flagInManual(f *kong.Flag) string {
	text := "\\fB\\-\\-" + troff(flagName(f)) + "\\fR"
	if f.Short != 0 {
		text = "\\fB\\-" + string(f.Short) + "\\fR, " + text
	}
	if !f.IsBool() && f.Name != "help" {
		text += "=\\fI" + troff(f.FormatPlaceHolder()) + "\\fR"
	}
	return text
}

// flagName is that of a flag, with the "no-" that it may have.
func flagName(f *kong.Flag) string {
	if f.Tag != nil && f.Tag.Negatable != "" {
		return "[no-]" + f.Name
	}
	return f.Name
}

// troff writes text so that troff takes nothing of it for a command. The lines of a text are
// one.
func troff(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}
