package main

import (
	"context"
	"errors"
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
	share         share
	subscriptions *messagestore.Subscriptions
	log           *slog.Logger
}

// begin says so for the first time. It refuses a process that shares the work of components
// among another number than those that run: both would do the work on the same streams, and
// a mail would go out twice.
func (h *heart) begin(ctx context.Context) error {
	if err := h.beat(ctx); err != nil {
		return fmt.Errorf("list this process: %w", err)
	}
	err := h.agrees(ctx)
	if err != nil {
		h.leave(ctx)
	}
	return err
}

// agrees returns an error where a process that was there before this one shares the work of
// components among another number.
func (h *heart) agrees(ctx context.Context) error {
	var other admin.Process
	var members int
	err := h.views.QueryRow(ctx, `
		SELECT other.host, other.pid, other.members FROM process other, process mine
		WHERE mine.id = $1 AND other.members <> mine.members AND (other.started_at, other.id) < (mine.started_at, mine.id) AND other.seen_at > now() - $2::interval
		LIMIT 1`, h.id, goneAfter).Scan(&other.Host, &other.PID, &members)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the processes: %w", err)
	}
	return fmt.Errorf("COMPONENT_GROUP (--group) shares the work of components among %d here and among %d in %s: %w; stop the others first, and wait %s where they died", h.share.among(), members, other.Name(), errOtherNumber, goneAfter)
}

var errOtherNumber = errors.New("all processes of a site have the same number")

// members returns among how many the processes that are there share the work of components;
// 0 where there are none.
func members(ctx context.Context, views *pgxpool.Pool) (n int, err error) {
	err = views.QueryRow(ctx, `SELECT coalesce(min(members), 0) FROM process WHERE seen_at > now() - $1::interval`, goneAfter).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("read the processes: %w", err)
	}
	return n, nil
}

// leave takes this process from the list.
func (h *heart) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if _, err := h.views.Exec(ctx, `DELETE FROM process WHERE id = $1`, h.id); err != nil {
		h.log.Debug("this process is listed a little longer", "error", messagestore.ErrorText(err))
	}
}

// Run says so every few seconds until ctx ends, and then that it does not any more. It
// returns nil.
func (h *heart) Run(ctx context.Context) error {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := h.beat(ctx); err != nil && ctx.Err() == nil {
			h.log.Debug("this process is not listed", "error", messagestore.ErrorText(err))
		} else if err := h.agrees(ctx); errors.Is(err, errOtherNumber) { // neither was listed for a while
			h.log.Error("mails may go out twice", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	h.leave(ctx)
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
		WITH gone AS (DELETE FROM process WHERE seen_at < now() - $7::interval AND id <> $1)
		INSERT INTO process (id, host, pid, parts, members, active) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (id) DO UPDATE SET active = EXCLUDED.active, seen_at = now()`,
		h.id, host, os.Getpid(), h.share.words(), h.share.among(), active, goneAfter)
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

// among returns how many processes share the work of each component.
func (s share) among() int { return max(1, s.members) }

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
