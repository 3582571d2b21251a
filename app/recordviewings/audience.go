package recordviewings

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"videotutorials/app/live"
	"videotutorials/messagestore"
)

// audience counts the open pages of each video and tells all processes of them. A process
// that dies is forgotten when its notices run out.
type audience struct {
	board   *live.Board
	process string
	wake    chan struct{} // capacity 1: there is something to tell

	mu      sync.Mutex
	pages   map[string]int  // of each video, in this process
	changed map[string]bool // videos whose number is to be told
	telling bool            // a goroutine tells
}

const (
	watchingFor  = 30 * time.Second       // how long a number is believed
	repeatedEach = 10 * time.Second       // while it does not change
	toldEach     = 200 * time.Millisecond // at most: a crowd that comes at once is told of once
)

func newAudience(board *live.Board) *audience {
	return &audience{
		board: board, process: messagestore.NewID(), wake: make(chan struct{}, 1),
		pages: map[string]int{}, changed: map[string]bool{},
	}
}

// watchingTopics is the prefix of the topics of how many watch a video: one for each
// process that has any.
func watchingTopics(video string) string { return "watching/" + video + "/" }

// watchedIn returns the video that such a topic is about.
func watchedIn(topic string) (video string, ok bool) {
	rest, ok := strings.CutPrefix(topic, "watching/")
	video, _, _ = strings.Cut(rest, "/")
	return video, ok
}

// watching is how many pages of a video are open, over all processes.
func (a *audience) watching(video string) (n int) {
	for _, value := range a.board.Below(watchingTopics(video)) {
		var here int
		if json.Unmarshal(value, &here) == nil && here > 0 {
			n += here
		}
	}
	return n
}

// change notes that a page was opened or closed.
func (a *audience) change(video string, by int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pages[video] += by
	if a.pages[video] <= 0 {
		delete(a.pages, video)
	}
	a.changed[video] = true
	select {
	case a.wake <- struct{}{}:
	default:
	}
	if !a.telling {
		a.telling = true
		go a.tell()
	}
}

// tell tells of what has changed, and of everything again and again, while any page is
// open.
func (a *audience) tell() {
	repeat := time.NewTicker(repeatedEach)
	defer repeat.Stop()
	for {
		numbers, goesOn := a.take()
		for video, n := range numbers {
			a.post(video, n)
		}
		if !goesOn {
			return
		}
		time.Sleep(toldEach)
		select {
		case <-a.wake:
		case <-repeat.C:
			a.mu.Lock()
			for video := range a.pages {
				a.changed[video] = true
			}
			a.mu.Unlock()
		}
	}
}

// take returns the numbers to tell, and whether there is anything to tell afterwards.
func (a *audience) take() (numbers map[string]int, goesOn bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	numbers = make(map[string]int, len(a.changed))
	for video := range a.changed {
		numbers[video] = a.pages[video]
	}
	clear(a.changed)
	a.telling = len(numbers) > 0 || len(a.pages) > 0
	return numbers, a.telling
}

// post tells all processes of one number. What is not heard is told again soon.
func (a *audience) post(video string, n int) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	topic := watchingTopics(video) + a.process
	if n > 0 {
		_ = a.board.Post(ctx, topic, n, watchingFor)
	} else {
		_ = a.board.Remove(ctx, topic)
	}
}
