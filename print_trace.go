package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"videotutorials/app/trace"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// traceOf is what trace is told.
type traceOf struct {
	ID string `arg:"" help:"Id of a trace, as the log and the admin portal show it, or of one of its messages."`
}

// mostTraced is how many messages of a trace are printed.
const mostTraced = 1000

// printTrace prints the messages of a trace as a tree: below each what it led to.
func (p *program) printTrace(ctx context.Context, out io.Writer, of traceOf) error {
	if err := p.reach(ctx); err != nil {
		return err
	}
	id := of.ID
	messages, err := p.store.Find(ctx, messagestore.Query{TraceID: id, Limit: mostTraced})
	if err != nil {
		return err
	}
	if len(messages) == 0 {
		m, err := p.store.ByID(ctx, strings.ToLower(id))
		if errors.Is(err, messagestore.ErrNoMessage) {
			return fmt.Errorf("no message has the trace %s, and none has it as its id", id)
		}
		if err != nil {
			return err
		}
		metadata, err := m.Metadata()
		if err != nil || metadata.TraceID == "" {
			return fmt.Errorf("the message %s belongs to no trace", id)
		}
		id = metadata.TraceID
		if messages, err = p.store.Find(ctx, messagestore.Query{TraceID: id, Limit: mostTraced}); err != nil {
			return err
		}
	}
	picture := trace.Picture(messages, nil)
	fmt.Fprintf(out, "trace %s: messages %d, in %s\n", printable(id), len(messages), picture.Took)
	if len(messages) == mostTraced {
		fmt.Fprintf(out, "Only the newest %d are shown.\n", mostTraced)
	}
	printTree(out, picture)
	return nil
}

// printTree prints each card once, below the first that led to it.
func printTree(out io.Writer, picture views.TracePicture) {
	effects, cards, caused := map[string][]string{}, map[string]views.TraceCard{}, map[string]bool{}
	for _, c := range picture.Cards {
		cards[c.Key] = c
	}
	for _, e := range picture.Edges {
		effects[e.From] = append(effects[e.From], e.To)
		caused[e.To] = true
	}
	printed := map[string]bool{}
	var show func(key, indent, branch string)
	show = func(key, indent, branch string) {
		if printed[key] {
			return
		}
		printed[key] = true
		c := cards[key]
		text := fmt.Sprintf("%s  %s  by %s", c.Name, c.Detail, picture.Lanes[c.Lane].Name)
		if c.At != "" {
			text += "  after " + c.At
		}
		fmt.Fprintf(out, "%s%s%-8s %s\n", indent, branch, c.Kind, printable(text))
		switch branch {
		case "├─ ":
			indent += "│  "
		case "└─ ":
			indent += "   "
		}
		below := slices.DeleteFunc(slices.Clone(effects[key]), func(to string) bool { return printed[to] })
		for i, to := range below {
			branch := "├─ "
			if i == len(below)-1 {
				branch = "└─ "
			}
			show(to, indent, branch)
		}
	}
	for _, c := range picture.Cards {
		if !caused[c.Key] {
			show(c.Key, "", "")
		}
	}
	for _, c := range picture.Cards { // those of a circle
		show(c.Key, "", "")
	}
}

// printable leaves nothing of a name that a terminal would take for a command.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\ufffd'
		}
		return r
	}, text)
}
