package node

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// Objects are the BPF objects of a pod, by the IDs that the kernel does not give
// to others soon.
type Objects struct {
	Map      ebpf.MapID
	Links    [2]link.ID
	Programs [2]ebpf.ProgramID
}

// String returns the IDs.
func (o Objects) String() string {
	return fmt.Sprintf("map %d, links %v, programs %v", o.Map, o.Links, o.Programs)
}

// Objects looks up what is pinned for the pod.
func (p *Pod) Objects() (o Objects, err error) {
	m, err := ebpf.LoadPinnedMap(p.Pins["stats_"], nil)
	if err != nil {
		return o, err
	}
	defer m.Close()
	info, err := m.Info()
	if err != nil {
		return o, err
	}
	o.Map, _ = info.ID()
	for i, name := range []string{"pktcount_rx_", "pktcount_tx_"} {
		if o.Links[i], o.Programs[i], err = linkIDs(p.Pins[name]); err != nil {
			return o, err
		}
	}
	return o, nil
}

func linkIDs(pin string) (link.ID, ebpf.ProgramID, error) {
	l, err := link.LoadPinnedLink(pin, nil)
	if err != nil {
		return 0, 0, err
	}
	defer l.Close()
	info, err := l.Info()
	if err != nil {
		return 0, 0, err
	}
	return info.ID, info.Program, nil
}

// WaitGone waits until the kernel has none of the objects any more. It frees them
// some time after their last user, when all CPUs have passed a quiescent state.
func (o Objects) WaitGone() error {
	for end := time.Now().Add(timeout); ; time.Sleep(10 * time.Millisecond) {
		left, err := o.left()
		if err != nil || len(left) == 0 {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("still in the kernel after %v: %s", timeout, strings.Join(left, ", "))
		}
	}
}

// left returns the objects that the kernel has.
func (o Objects) left() (left []string, err error) {
	var errs []error
	look := func(what string, id any, open func() (io.Closer, error)) {
		object, err := open()
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err == nil {
			err = object.Close()
			left = append(left, fmt.Sprint(what, " ", id))
		}
		errs = append(errs, err)
	}
	look("map", o.Map, func() (io.Closer, error) { return ebpf.NewMapFromID(o.Map) })
	for _, id := range o.Links {
		look("link", id, func() (io.Closer, error) { return link.NewFromID(id) })
	}
	for _, id := range o.Programs {
		look("program", id, func() (io.Closer, error) { return ebpf.NewProgramFromID(id) })
	}
	return left, errors.Join(errs...)
}
