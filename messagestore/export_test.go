package messagestore

import "time"

// RetryQuickly makes a subscription try again without waiting.
func RetryQuickly(s *Subscription) *Subscription {
	s.retryIn = func(int) time.Duration { return time.Microsecond }
	return s
}

// WaitFor waits until a subscription's status is as wanted.
func WaitFor(done <-chan struct{}, s *Subscription, wanted func(Status) bool) bool {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if wanted(s.Status()) {
			return true
		}
		select {
		case <-changed:
		case <-done:
			return false
		}
	}
}

// Held reports whether the process holds the lock of a component's subscription.
func Held(s *Subscription) bool { return s.lock.held.Load() }
