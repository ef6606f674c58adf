package bpffs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"github.com/cni-bpffs/cni-bpffs/internal/errlist"
	"github.com/cni-bpffs/cni-bpffs/internal/owned"
)

// Release removes the pins of the attachment's endpoint, then its record. What
// is gone already is success, also the whole attachment, and so is an attachment
// that can have no record. A pin that cannot be removed keeps the record, so that
// a later call can finish: [ErrPinStuck].
func (e *Endpoints) Release(a Attachment) error {
	return e.in(e.release(a))
}

func (e *Endpoints) release(a Attachment) error {
	if a.Check() != nil {
		return nil
	}
	err := e.forget(a)
	if err == nil {
		err = e.index.pruneNetwork(a.Network)
	}
	return err
}

// forget is release, but for the network, which may have no container then.
func (e *Endpoints) forget(a Attachment) error {
	id, err := e.lookUp(a)
	if err == nil {
		err = e.remove(e.record(id))
	}
	if err == nil || errors.Is(err, ErrNoEndpoint) {
		err = e.index.remove(a)
	}
	return err
}

// remove removes the pins and the record. The record goes from its place in one
// step; the next process that opens the records clears what a kill leaves of it
// elsewhere.
func (e *Endpoints) remove(r record) error {
	if err := e.hidePod(r); err != nil {
		return fmt.Errorf("%w of endpoint %d: %w", ErrPinStuck, r.id, err)
	}
	pins, err := r.pins()
	if err != nil {
		return err
	}
	var errs []error
	for _, g := range pins {
		errs = append(errs, e.unpin(g, r.id))
	}
	if err := errlist.Join(errs...); err != nil {
		return fmt.Errorf("%w of endpoint %d: %w", ErrPinStuck, r.id, err)
	}
	if err := e.cni.RemoveTree(r.link(byNameDir)); err != nil { // here, for below scratch it would take one more open file
		return err
	}
	if err := e.cni.Rename(r.dir, scratchDir); err != nil {
		return err
	}
	return e.cni.RemoveTree(scratchDir)
}

// unpin removes whatever is at the paths of local maps of the endpoint id.
func (e *Endpoints) unpin(g pinGroup, id uint16) error {
	err := owned.Walk(g.dir, e.root.Check)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	maps, err := e.root.Open(g.dir)
	if err != nil {
		return err
	}
	defer maps.Close()
	var errs []error
	for _, name := range g.files(id) {
		errs = append(errs, maps.RemoveTree(name))
	}
	return errlist.Join(errs...)
}

// Collect releases every attachment to the network that keep does not want, and
// carries on past errors. It also removes what a kill left of the index. It gives
// the records back in between, so that nobody waits for all of it; an attachment
// that is made in the meantime, of which keep cannot know, stays.
func (e *Endpoints) Collect(ctx context.Context, network string, keep func(Attachment) bool) error {
	c := collector{Endpoints: e, start: time.Now(), keep: keep}
	containers, err := c.containers(ctx, network)
	errs := []error{err}
	for _, container := range containers {
		if e.lost() {
			break
		}
		gaveBack, err := e.yield(ctx)
		c.paused = c.paused || gaveBack
		if err == nil {
			err = c.container(network, container)
		}
		errs = append(errs, err)
	}
	if !e.lost() {
		errs = append(errs, e.index.pruneNetwork(network))
	}
	return e.in(errlist.Join(errs...))
}

// A collector collects the attachments to one network.
type collector struct {
	*Endpoints

	start  time.Time
	paused bool // others had the records since
	keep   func(Attachment) bool
}

// containers returns those that have attachments to the network. After an error
// the records may be another's.
func (c *collector) containers(ctx context.Context, network string) (names []string, err error) {
	if checkName(escape(network)) != nil {
		return nil, nil
	}
	var lost error
	c.paused, lost = c.freely(ctx, path.Join(attachmentsDir, escape(network)), func(cni *owned.Dir) {
		names, err = index{cni}.containers(network)
	})
	return names, errlist.Join(err, lost)
}

func (c *collector) container(network, container string) error {
	all, err := c.index.attachments(network, container)
	if len(all) == 0 { // a kill left it empty
		return errlist.Join(err, c.index.prune(network, container))
	}
	errs := []error{err}
	for _, a := range all {
		if c.keep(a) {
			continue
		}
		young, err := c.isYoung(a)
		if err == nil && !young {
			err = c.forget(a)
		}
		errs = append(errs, err)
	}
	return errlist.Join(errs...)
}

// isYoung reports whether an ADD may have answered from the attachment's record since
// the collector began. The clock of the file system is a little behind.
func (c *collector) isYoung(a Attachment) (bool, error) {
	const behind = 10 * time.Millisecond
	if !c.paused {
		return false, nil
	}
	id, err := c.lookUp(a)
	if errors.Is(err, ErrNoEndpoint) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	s, err := c.record(id).stamp()
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	since := c.start.Add(-behind)
	return s.made.Changed.After(since) || s.set.Changed.After(since), err
}
