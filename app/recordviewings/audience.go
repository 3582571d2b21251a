package recordviewings

import (
	"context"
	"encoding/json"
	"maps"
	"strings"
	"sync"
	"time"

	"videotutorials/app/live"
	"videotutorials/app/web"
	"videotutorials/messagestore"
)

const (
	// A notice of this process outlives two that are lost, and a process that is killed is
	// not counted for longer than that.
	noticeLasts = 30 * time.Second
	noticeAgain = 10 * time.Second
	// noticeRest is between two rounds of notices: a class that opens a page together is one.
	noticeRest = 200 * time.Millisecond
	// roundLasts is how long a round may take, also the last one, when the process ends.
	roundLasts = 2 * time.Second
)

// audience counts who has the page of a video open in this process, and adds up what all
// processes say of theirs.
type audience struct {
	board   *live.Board
	process string        // its id
	again   time.Duration // between two rounds of all notices

	mu      sync.Mutex
	open    map[string]int      // streams, by video
	changed map[string]struct{} // videos of which the board does not know that yet
	news    chan struct{}       // has one where there are such videos
}

func newAudience(board *live.Board) *audience {
	return &audience{
		board: board, process: messagestore.NewID(), again: noticeAgain,
		open: map[string]int{}, changed: map[string]struct{}{}, news: make(chan struct{}, 1),
	}
}

const watchingPrefix = "watching/"

// watchingTopics is the prefix of the topics of a video: one for each process.
func watchingTopics(videoID string) string { return watchingPrefix + videoID + "/" }

// watchedIn returns the video that such a topic is about.
func watchedIn(topic string) (videoID string, ok bool) {
	rest, ok := strings.CutPrefix(topic, watchingPrefix)
	videoID, _, _ = strings.Cut(rest, "/")
	return videoID, ok
}

// of returns how many have the page of a video open, who asks included.
func (a *audience) of(videoID string) int {
	sum := 0
	for _, notice := range a.board.Below(watchingTopics(videoID)) {
		var n int
		if json.Unmarshal(notice, &n) == nil {
			sum += max(n, 0)
		}
	}
	return max(sum, 1) // the board knows it a moment later
}

// enter counts somebody until they leave.
func (a *audience) enter(videoID string) (leave func()) {
	a.add(videoID, 1)
	return func() { a.add(videoID, -1) }
}

func (a *audience) add(videoID string, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open[videoID] += n; a.open[videoID] == 0 {
		delete(a.open, videoID)
	}
	a.changed[videoID] = struct{}{}
	select {
	case a.news <- struct{}{}:
	default:
	}
}

func (a *audience) run(ctx context.Context) error {
	again := time.NewTicker(a.again)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			a.leaveBoard(context.WithoutCancel(ctx))
			return nil
		case <-a.news:
			a.post(ctx, a.take(false))
			web.Pause(ctx, noticeRest)
		case <-again.C:
			a.post(ctx, a.take(true))
		}
	}
}

// leaveBoard takes all notices of this process back.
func (a *audience) leaveBoard(ctx context.Context) {
	counts := a.take(true)
	for video := range counts {
		counts[video] = 0
	}
	a.post(ctx, counts)
}

// take returns how many watch the videos of which there is news, or all that are watched.
func (a *audience) take(all bool) map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	counts := map[string]int{}
	for video := range a.changed {
		counts[video] = a.open[video]
	}
	if all {
		maps.Copy(counts, a.open)
	}
	clear(a.changed)
	return counts
}

// post tells how many watch videos here. What could not be told is told in the next round.
func (a *audience) post(ctx context.Context, counts map[string]int) {
	ctx, cancel := context.WithTimeout(ctx, roundLasts)
	defer cancel()
	for video, n := range counts {
		topic := watchingTopics(video) + a.process
		var err error
		if n > 0 {
			err = a.board.Post(ctx, topic, n, noticeLasts)
		} else {
			err = a.board.Remove(ctx, topic)
		}
		if err != nil {
			a.mu.Lock()
			a.changed[video] = struct{}{}
			a.mu.Unlock()
		}
	}
}
