package main

import (
	"context"
	"sync"
	"time"
)

// A deadline is a context that is done after lockTimeout. It starts a timer only
// for somebody who waits, which hardly any call does: the timer would cost every
// call three system calls and a thread that wakes up.
type deadline struct {
	context.Context
	end  time.Time
	done func() <-chan struct{}
}

func newDeadline() deadline {
	end := time.Now().Add(lockTimeout)
	return deadline{context.Background(), end, sync.OnceValue(func() <-chan struct{} {
		done := make(chan struct{})
		time.AfterFunc(time.Until(end), func() { close(done) })
		return done
	})}
}

func (d deadline) Deadline() (time.Time, bool) { return d.end, true }

func (d deadline) Done() <-chan struct{} { return d.done() }

func (d deadline) Err() error {
	if time.Now().Before(d.end) {
		return nil
	}
	return context.DeadlineExceeded
}
