package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"videotutorials/app/admin"
	"videotutorials/messagestore"
)

const (
	beatEvery = 5 * time.Second
	// goneAfter is how long after its last word a process is no longer listed.
	goneAfter = 3 * beatEvery
)

// heart says in the view data that this process runs, and what it does.
type heart struct {
	views         *pgxpool.Pool
	id            string
	parts         string
	subscriptions *messagestore.Subscriptions
	log           *slog.Logger
}

// Run says so every few seconds until ctx ends, and then that it does not any more. It
// returns nil.
func (h *heart) Run(ctx context.Context) error {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := h.beat(ctx); err != nil && ctx.Err() == nil {
			h.log.Debug("this process is not listed", "error", messagestore.ErrorText(err))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if _, err := h.views.Exec(ending, `DELETE FROM process WHERE id = $1`, h.id); err != nil {
		h.log.Debug("this process is listed a little longer", "error", messagestore.ErrorText(err))
	}
	return nil
}

func (h *heart) beat(ctx context.Context) error {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	active := slices.DeleteFunc(h.subscriptions.Status(), func(s messagestore.Status) bool {
		return s.Elsewhere || s.State == messagestore.Standby
	})
	for i := range active {
		active[i].Parked = nil // everybody reads it where it is kept
	}
	_, err = h.views.Exec(ctx, `
		WITH gone AS (DELETE FROM process WHERE seen_at < now() - $6::interval AND id <> $1)
		INSERT INTO process (id, host, pid, parts, active) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (id) DO UPDATE SET active = EXCLUDED.active, seen_at = now()`,
		h.id, host, os.Getpid(), h.parts, active, goneAfter)
	return err
}

// processes returns those that were seen of late, the oldest first.
func (h *heart) processes(ctx context.Context) ([]admin.Process, error) {
	rows, err := h.views.Query(ctx, `SELECT host, pid, parts, active, started_at, id = $1 FROM process WHERE seen_at > now() - $2::interval ORDER BY started_at, id`, h.id, goneAfter)
	if err != nil {
		return nil, fmt.Errorf("read the processes: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[admin.Process])
}

// words names what this process runs.
func (s share) words() string {
	words := "everything"
	if s.parts != nil {
		words = strings.Join(s.names(), ", ")
	}
	if s.members > 1 && s.member > 0 {
		words += fmt.Sprintf(", %d of %d", s.member, s.members)
	}
	return words
}
