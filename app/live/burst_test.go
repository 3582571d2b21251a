package live

import (
	"errors"
	"maps"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
)

// TestReconnectingInABurstEndsAtTheTruth lets browsers come and go while transactions of several topics are committed,
// notifications are lost, renders and queries fail. Nothing is notified afterwards that would repair a gap.
func TestReconnectingInABurstEndsAtTheTruth(t *testing.T) {
	t.Parallel()
	const browsers, connections = 24, 1000
	h, _ := newHub(t, func(l *limits) {
		l.retryMin, l.retryMax = 100*time.Microsecond, time.Millisecond
		l.heartbeat = 20 * time.Millisecond
	})
	s := newStore()
	s.fail(func(topic string) error {
		if rand.N(20) == 0 {
			return errors.New("now and then")
		}
		return nil
	})
	address, _ := serve(t, h.Feed(s.render), func(c echo.Context) Page {
		return s.page(c.QueryParams()["topic"]...)
	}, nil)

	written := make(chan struct{})
	var connected atomic.Int64
	var all sync.WaitGroup
	all.Go(func() {
		defer close(written)
		projections := [][]string{
			{"views/a", "views/b", "views/c", "views/d"},
			{"titles/a", "titles/b"},
		}
		for lost := 0; ; {
			frames := h.Stats().Frames
			topics := projections[rand.N(len(projections))]
			first := rand.N(len(topics))
			payloads := s.commit(topics[first : first+1+rand.N(len(topics)-first)]...)
			for _, payload := range payloads {
				switch {
				case lost > 0: // The LISTEN connection is away …
					lost--
					if lost == 0 { // … and back.
						h.Resync()
					}
				case rand.N(200) == 0:
					lost = 1 + rand.N(30)
				default:
					h.Notify(payload)
				}
			}
			if lost == 0 && rand.N(3) == 0 { // Else one render would serve hundreds of commits.
				eventually(t, "another frame", func() bool { return h.Stats().Frames > frames })
			}
			if connected.Load() >= connections && lost == 0 {
				return
			}
		}
	})
	for i := range browsers {
		all.Go(func() {
			topics := [][]string{{"views/"}, {"views/a", "titles/"}, {"views/b", "views/c"}}[i%3]
			query := "?topic=" + topics[0]
			if len(topics) > 1 {
				query += "&topic=" + topics[1]
			}
			has, id := map[string]int64{}, ""
			writing, deadline := written, (<-chan time.Time)(nil)
			for {
				b, err := connect(&http.Transport{}, address, query, id)
				if err != nil {
					t.Errorf("browser %d: %v", i, err)
					return
				}
				connected.Add(1)
				var before Versions
				for stay := 1 + rand.N(6); stay > 0 || writing == nil; {
					select {
					case <-writing:
						writing, deadline = nil, time.After(patience)
					case <-deadline:
						t.Errorf("browser %d has %v at %q, the truth is %v", i, has, id, s.truth(topics))
						b.leave()
						return
					case f, open := <-b.frames:
						if !open {
							t.Errorf("browser %d: the stream ended: %v", i, b.err)
							return
						}
						if f.comment != "" {
							break
						}
						at, err := ParseVersions(f.id)
						if err != nil || at.before(before) {
							t.Errorf("browser %d: id %q after %q: %v", i, f.id, before, err)
						}
						before, id = at, f.id
						maps.Copy(has, f.values())
						stay--
					}
					if writing == nil && maps.Equal(has, s.truth(topics)) {
						b.leave()
						return
					}
				}
				b.leave()
			}
		})
	}
	all.Wait()
	t.Logf("%d commits, %d connections of %d browsers, %+v", s.last(), connected.Load(), browsers, h.Stats())
}

func (s *store) last() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version
}

// truth is what a page with the topics should show.
func (s *store) truth(topics []string) map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	truth := map[string]int64{}
	for topic, r := range s.rows {
		if shown(topics, topic) {
			truth[topic] = r.value
		}
	}
	return truth
}
