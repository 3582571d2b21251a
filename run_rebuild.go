package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"videotutorials/app/admin"
	"videotutorials/messagestore"
)

// rebuildAsked is what rebuild is told.
type rebuildAsked struct {
	Name string `arg:"" help:"Name of a projection, like catalogue; the admin portal lists them."`
	Yes  bool   `short:"y" help:"Switch to the new rows without asking."`
}

const (
	rebuildLook  = 100 * time.Millisecond // how often it is looked how far it is
	rebuildTells = time.Second            // how often that is printed
	rebuildEnds  = 10 * time.Second       // how long it may take to end when it is cancelled
)

// rebuild makes the rows of a projection anew beside those that are served, tells what differs,
// and has them served when the person says so. The site may run meanwhile. Until the switch is
// committed, the end of ctx leaves everything as it was.
func (p *program) rebuild(ctx context.Context, in io.Reader, out io.Writer, asked rebuildAsked) error {
	working, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.rebuilds.Run(working)
	}()
	defer func() { stop(); <-ended }()

	r, err := p.rebuilds.Of(ctx, asked.Name)
	if errors.Is(err, messagestore.ErrNoRebuild) {
		all, listErr := p.rebuilds.All(ctx)
		if listErr != nil {
			return listErr
		}
		var names []string
		for _, one := range all {
			names = append(names, one.Name)
		}
		return fmt.Errorf("there is no projection %s: there are %s", asked.Name, strings.Join(names, ", "))
	}
	if err != nil {
		return err
	}
	if err := p.rebuilds.Start(ctx, asked.Name, ""); err != nil {
		return err
	}
	fmt.Fprintf(out, "Rebuilding %s while the rows of before are served. Ctrl-C ends it, and nothing changes.\n", r.Name)
	err = p.rebuildUntilSwitched(ctx, in, out, asked)
	if ctx.Err() == nil {
		if err != nil { // what is under way is not left behind
			if cancelErr := p.cancelRebuild(ctx, asked.Name); cancelErr != nil && !errors.Is(cancelErr, messagestore.ErrNoRebuild) {
				return errors.Join(err, cancelErr)
			}
		}
		return err
	}
	<-ended
	// The switch may have been quicker than Ctrl-C.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if r, err = p.rebuilds.Of(last, asked.Name); err == nil && r.Phase == messagestore.RebuildDone {
		fmt.Fprintln(out, "The switch was done already.")
		return nil
	}
	if err == nil && r.UnderWay() {
		err = p.rebuilds.Cancel(last, asked.Name)
	}
	if err != nil {
		return fmt.Errorf("the rebuild was ended; what it left is removed by the next one: %w", err)
	}
	return errors.New("the rebuild was ended, nothing has changed")
}

func (p *program) rebuildUntilSwitched(ctx context.Context, in io.Reader, out io.Writer, asked rebuildAsked) error {
	r, err := p.followRebuild(ctx, out, asked.Name, func(r messagestore.Rebuild) bool {
		return r.Phase == messagestore.RebuildReady && r.Difference != nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Read are %d messages. What the switch changes:\n", r.Messages)
	printDifference(out, r)
	if r.Difference.Rows() == 0 {
		fmt.Fprintln(out, "Nothing: the rows that are served are right, and stay.")
		return p.cancelRebuild(ctx, asked.Name)
	}
	if !asked.Yes {
		fmt.Fprint(out, "Serve the new rows? This cannot be taken back. [y/N] ")
		answer := make(chan string, 1) // closed without one where the input ends
		go func() {
			defer close(answer)
			if line, err := bufio.NewReader(in).ReadString('\n'); err == nil || line != "" {
				answer <- strings.ToLower(strings.TrimSpace(line))
			}
		}()
		select {
		case said, ok := <-answer:
			if !ok {
				fmt.Fprintln(out)
				return errors.New("not switched: nobody answered; --yes (-y) switches without asking")
			}
			if said != "y" && said != "yes" {
				fmt.Fprintln(out, "The rows of before stay.")
				return p.cancelRebuild(ctx, asked.Name)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := p.rebuilds.Switch(ctx, asked.Name); err != nil {
		return err
	}
	asking := r.Error
	r, err = p.followRebuild(ctx, out, asked.Name, func(r messagestore.Rebuild) bool {
		return r.Phase == messagestore.RebuildDone || r.Phase == messagestore.RebuildReady && r.Error != asking
	})
	if err != nil {
		return err
	}
	if r.Phase != messagestore.RebuildDone {
		return fmt.Errorf("the switch did not work, and nothing has changed: %s", r.Error)
	}
	fmt.Fprintf(out, "The new rows are served, %s after the start.\n", r.Ended.Sub(r.Began).Round(10*time.Millisecond))
	return nil
}

// cancelRebuild cancels a rebuild of this process and waits until it has ended: the end of the
// command would interrupt it otherwise.
func (p *program) cancelRebuild(ctx context.Context, name string) error {
	if err := p.rebuilds.Cancel(ctx, name); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, rebuildEnds)
	defer cancel()
	look := time.NewTicker(rebuildLook)
	defer look.Stop()
	for {
		r, err := p.rebuilds.Of(ctx, name)
		switch {
		case err == nil && !r.UnderWay():
			return nil
		case err != nil && ctx.Err() == nil && !messagestore.IsTransient(err):
			return err
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the end of the rebuild of %s: %w", name, ctx.Err())
		}
	}
}

// followRebuild prints how far a rebuild is until it has come somewhere.
func (p *program) followRebuild(ctx context.Context, out io.Writer, name string, there func(messagestore.Rebuild) bool) (messagestore.Rebuild, error) {
	look := time.NewTicker(rebuildLook)
	defer look.Stop()
	told := time.Now()
	for {
		r, err := p.rebuilds.Of(ctx, name)
		switch {
		case err != nil && (ctx.Err() != nil || !messagestore.IsTransient(err)):
			return r, err
		case err == nil && there(r):
			return r, nil
		case err == nil && !r.UnderWay():
			if r.Error != "" {
				return r, fmt.Errorf("the rebuild is %s, nothing has changed: %s", r.Phase, r.Error)
			}
			return r, fmt.Errorf("the rebuild is %s, nothing has changed", r.Phase)
		case err == nil && time.Since(told) >= rebuildTells:
			told = time.Now()
			line := fmt.Sprintf("%s: %.0f %%, %d messages, %.0f a second", r.Phase, r.Percent(), r.Messages, r.Rate)
			if r.Left >= 0 && r.Phase == messagestore.RebuildReading {
				line += fmt.Sprintf(", %s left", r.Left.Round(time.Second))
			}
			if r.Error != "" {
				line += "; held up: " + r.Error
			}
			fmt.Fprintln(out, line)
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return messagestore.Rebuild{}, ctx.Err()
		}
	}
}

// examplesShown is how many rows of a table are printed.
const examplesShown = 5

func printDifference(out io.Writer, r messagestore.Rebuild) {
	for _, t := range r.Difference.Tables {
		fmt.Fprintf(out, "  %s: %d rows are served, %d are new; %d go, %d come, %d change\n", t.Table, t.Old, t.New, t.OnlyOld, t.OnlyNew, t.Changed)
		for i, e := range t.Examples {
			if i == examplesShown {
				fmt.Fprintln(out, "    …")
				break
			}
			var key, columns []string
			for _, c := range e.Key {
				value := c.Old
				if e.OnlyNew {
					value = c.New
				}
				key = append(key, admin.ShownValue(c.Column, value))
			}
			for _, c := range e.Columns {
				columns = append(columns, fmt.Sprintf("%s %s → %s", c.Column, admin.ShownValue(c.Column, c.Old), admin.ShownValue(c.Column, c.New)))
			}
			what := strings.Join(columns, ", ")
			if e.OnlyOld {
				what = "goes"
			} else if e.OnlyNew {
				what = "comes"
			}
			fmt.Fprintf(out, "    %s: %s\n", printable(strings.Join(key, " ")), printable(what))
		}
	}
	if len(r.Parked) > 0 {
		fmt.Fprintf(out, "  Streams that stay parked: %d\n", len(r.Parked))
	}
}
