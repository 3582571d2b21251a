package admin

import (
	"context"
	"fmt"
	"sync"
	"time"

	"videotutorials/messagestore"
	"videotutorials/views"
)

// Process is one that runs the system, or a part of it, as it said of itself last.
type Process struct {
	Host string
	PID  int
	// Parts names what it runs.
	Parts string
	// Active are the subscriptions that it does the work of, without what they set aside.
	Active  []messagestore.Status
	Started time.Time
	// Here says that it is this process.
	Here bool
}

// Name tells it from the others.
func (p Process) Name() string { return fmt.Sprintf("%s, process %d", p.Host, p.PID) }

// processes remembers those that there are.
type processes struct {
	mu   sync.Mutex
	list []Process
}

func (p *processes) set(list []Process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = list
}

func (p *processes) all() []Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.list
}

// look asks which processes there are.
func (a *App) look(ctx context.Context) {
	if a.Processes == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, sampleEvery)
	defer cancel()
	list, err := a.Processes(ctx)
	if err == nil { // else the last answer stands
		a.running.set(list)
	}
}

// statuses returns all subscriptions as they stand: those whose work another process does, as
// that one says.
func (a *App) statuses() []messagestore.Status {
	list := a.Subscriptions().Status()
	for i := range list {
		at := &list[i]
		if at.State != messagestore.Standby {
			continue
		}
		if by, _ := a.elsewhere(at.Name); by != nil {
			at.State, at.Handled, at.Retries, at.LastError = by.State, by.Handled, by.Retries, by.LastError
		}
	}
	return list
}

// elsewhere returns what another process says of a subscription, and the process's name; nil
// where this one does its work, or nobody.
func (a *App) elsewhere(subscription string) (by *messagestore.Status, where string) {
	for _, p := range a.running.all() {
		for i := range p.Active {
			if p.Active[i].Name != subscription {
				continue
			}
			if p.Here {
				return nil, ""
			}
			by, where = &p.Active[i], p.Name()
		}
	}
	return by, where
}

// shownProcesses are the processes as pages show them.
func (a *App) shownProcesses() []views.AdminProcess {
	var list []views.AdminProcess
	for _, p := range a.running.all() {
		shown := views.AdminProcess{Name: p.Name(), Parts: p.Parts, Started: p.Started, Here: p.Here}
		for _, s := range p.Active {
			shown.Active = append(shown.Active, s.Name)
		}
		list = append(list, shown)
	}
	return list
}
