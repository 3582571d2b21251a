package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// BoardChannel is the channel on which what is posted goes to all processes.
const BoardChannel = "board"

// mostPosted is how long a notice may be as JSON, with its topic: Postgres refuses
// notifications of 8,000 bytes.
const mostPosted = 7_500

// Board holds what is true only now: how far a film is transcoded, how many people watch. A notice is shared by all
// processes, wakes the pages that show its topic, and is gone when its time is over, so that nobody has to clean up
// after a process that was killed. A process that has just started knows a notice when it is posted again.
type Board struct {
	hub  *Hub
	send func(ctx context.Context, payload string) error

	mu      sync.RWMutex
	notices map[string]notice
	version int64 // of the newest notification of ours
}

type notice struct {
	value json.RawMessage
	until time.Time
}

// NewBoard returns an empty board. send notifies all processes, this one too, of a payload; each gives it to Heard.
func NewBoard(hub *Hub, send func(ctx context.Context, payload string) error) *Board {
	return &Board{hub: hub, send: send, notices: map[string]notice{}}
}

// Post puts up a notice for a while, in place of the one that its topic has. The first segment of a topic is no
// projection's name. A page that names the topic, or a prefix of it that ends in "/", is woken.
func (b *Board) Post(ctx context.Context, topic string, value any, lasts time.Duration) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("post %s: %w", topic, err)
	}
	payload := topic + " " + strconv.FormatInt(lasts.Milliseconds(), 10) + " " + string(text)
	if len(payload) > mostPosted {
		return fmt.Errorf("post %s: %d bytes are too many", topic, len(payload))
	}
	if err := b.send(ctx, payload); err != nil {
		return fmt.Errorf("post %s: %w", topic, err)
	}
	return nil
}

// Remove takes a notice down.
func (b *Board) Remove(ctx context.Context, topic string) error { return b.Post(ctx, topic, nil, 0) }

// Get reads the notice of a topic, and reports whether there is one.
func (b *Board) Get(topic string, into any) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	n, ok := b.notices[topic]
	return ok && n.until.After(time.Now()) && json.Unmarshal(n.value, into) == nil
}

// Below returns the notices of all topics that begin with a prefix, by topic.
func (b *Board) Below(prefix string) map[string]json.RawMessage {
	b.mu.RLock()
	defer b.mu.RUnlock()
	below, now := map[string]json.RawMessage{}, time.Now()
	for topic, n := range b.notices {
		if strings.HasPrefix(topic, prefix) && n.until.After(now) {
			below[topic] = n.value
		}
	}
	return below
}

// Heard takes a payload that a process has sent.
func (b *Board) Heard(payload string) {
	topic, value, lasts, err := parseNotice(payload)
	if err != nil {
		b.hub.log.Warn("notice dropped", "error", err)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	before, known := b.notices[topic]
	if lasts <= 0 {
		delete(b.notices, topic)
	} else {
		b.notices[topic] = notice{value, now.Add(lasts)}
	}
	// What is only repeated lives longer and is no news.
	if repeated := known && lasts > 0 && before.until.After(now) && bytes.Equal(before.value, value); !repeated {
		b.wake(topic)
	}
}

// Run takes down what is over, until ctx ends. It returns nil.
func (b *Board) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			b.expire(now)
		}
	}
}

func (b *Board) expire(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for topic, n := range b.notices {
		if !n.until.After(now) {
			delete(b.notices, topic)
			b.wake(topic)
		}
	}
}

// wake tells the hub of a topic, with b.mu held. Its versions are moments, so that they go on rising when the
// program starts again, which pages survive.
func (b *Board) wake(topic string) {
	b.version = max(b.version+1, time.Now().UnixMilli())
	b.hub.Notify(topic + " " + strconv.FormatInt(b.version, 10))
}

func parseNotice(payload string) (topic string, value json.RawMessage, lasts time.Duration, err error) {
	topic, rest, _ := strings.Cut(payload, " ")
	number, text, _ := strings.Cut(rest, " ")
	milliseconds, err := strconv.ParseInt(number, 10, 64)
	switch {
	case err != nil || topic == "" || strings.HasSuffix(topic, "/") || !isName(projectionOf(topic)):
		err = errors.New("it is no notice")
	case !json.Valid([]byte(text)):
		err = fmt.Errorf("the notice of %s is not JSON", topic)
	}
	return topic, json.RawMessage(text), time.Duration(milliseconds) * time.Millisecond, err
}
