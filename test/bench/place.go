package main

import (
	"os"
	"runtime"
	"syscall"
	"time"
)

// A place is a thread of this process in a mount namespace of its own: what runs
// there, and the commands it starts, see other mounts than the rest.
type place chan func()

// newPlace makes a place with the mounts that there are.
func newPlace() (place, error) {
	p, ready := make(place), make(chan error)
	go func() {
		runtime.LockOSThread() // for good: no other goroutine may see these mounts
		ready <- os.NewSyscallError("unshare", syscall.Unshare(syscall.CLONE_FS|syscall.CLONE_NEWNS))
		for f := range p {
			f()
		}
	}()
	return p, <-ready
}

func (p place) do(f func() error) error {
	done := make(chan error)
	p <- func() { done <- f() }
	return <-done
}

// measured returns the subject with all that it does done in the place.
func (p place) measured(s subject) subject {
	return subject{s.name, func() (took time.Duration, err error) {
		err = p.do(func() error {
			took, err = s.once()
			return err
		})
		return took, err
	}}
}
