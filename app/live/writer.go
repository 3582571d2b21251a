package live

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"
)

// writer stands between the library and the connection. A frame has a deadline while it is being written and none
// afterwards: HTTP/2 resets even an idle stream when a deadline passes, and so would http.Server.WriteTimeout.
type writer struct {
	http.ResponseWriter
	control *http.ResponseController
	http1   bool
	hub     *Hub
	cancel  context.CancelFunc
	flushed chan struct{} // capacity 1: the header, then each frame, has left

	mu     sync.Mutex
	began  time.Time // when the deadline was set; zero: there is none
	failed bool
	ending bool
}

// WriteHeader is called by the library once, before its first Flush.
func (w *writer) WriteHeader(status int) {
	if w.http1 {
		// The deadline that end sets stays on the connection, so no other request may follow on it.
		w.Header().Set("Connection", "close")
	}
	w.begin()
	w.ResponseWriter.WriteHeader(status)
}

// Write is called by the library for each line of a frame.
func (w *writer) Write(b []byte) (written int, err error) {
	for piece := range slices.Chunk(b, 16<<10) { // A line may be long, and the browser slow but alive.
		w.begin()
		n, err := w.ResponseWriter.Write(piece)
		written += n
		if err != nil {
			w.fail()
			return written, err
		}
	}
	return written, nil
}

// begin sets the deadline of what is written next. As that is a message to another goroutine on HTTP/2, one deadline
// serves for what is written within a tenth of its time.
func (w *writer) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ending && !w.failed && time.Since(w.began) > w.hub.limits.write/10 {
		w.began = time.Now()
		_ = w.control.SetWriteDeadline(w.began.Add(w.hub.limits.write))
	}
}

// Flush is called by the library when the header or a frame is complete.
func (w *writer) Flush() {
	if w.control.Flush() != nil {
		w.fail()
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed {
		return
	}
	if !w.ending {
		w.began = time.Time{}
		_ = w.control.SetWriteDeadline(time.Time{})
	}
	signal(w.flushed)
}

// fail ends the page whose browser is gone, or has accepted nothing until the deadline.
func (w *writer) fail() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.failed && time.Since(w.began) >= w.hub.limits.write {
		w.hub.cut.Add(1)
		w.hub.log.Info("live page cut", "accepted_nothing_for", w.hub.limits.write)
	}
	w.failed = true
	w.cancel()
}

// waitFlush tells whether the header or the frame left before ctx ended.
func (w *writer) waitFlush(ctx context.Context) bool {
	select {
	case <-w.flushed:
		return true
	case <-ctx.Done():
		return false
	}
}

// end gives what is still to be written little time: a browser that reads nothing must not hold up a shutdown.
func (w *writer) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ending = true
	_ = w.control.SetWriteDeadline(time.Now().Add(w.hub.limits.farewell))
}
