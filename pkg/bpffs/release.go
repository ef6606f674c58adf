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
		errs = append(errs, e.unpin(g.dir, g.files(r.id)))
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

// unpin removes whatever is at the recorded names in dir, below the root.
func (e *Endpoints) unpin(dir string, names []string) error {
	err := owned.Walk(dir, e.root.Check)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	maps, err := e.root.Open(dir)
	if err != nil {
		return err
	}
	defer maps.Close()
	var errs []error
	for _, name := range names {
		errs = append(errs, maps.RemoveTree(name))
	}
	return errlist.Join(errs...)
}

// portion is how long somebody who has much to do keeps the records before others
// can have them.
const portion = 10 * time.Millisecond

// Collect releases every attachment to the network that keep does not want, and
// carries on past errors. It also removes what a kill left of the index. It gives
// the records back in between, so that nobody waits for all of it; an attachment
// that is made in the meantime, of which keep cannot know, stays.
func (e *Endpoints) Collect(ctx context.Context, network string, keep func(Attachment) bool) error {
	c := collector{Endpoints: e, start: time.Now(), keep: keep}
	containers, err := c.containers(ctx, network)
	if e.unlock == nil {
		return e.in(err)
	}
	errs := []error{err}
	since := time.Now()
	for _, container := range containers {
		if time.Since(since) > portion {
			if err := e.resume(ctx); err != nil {
				return e.in(errlist.Join(append(errs, err)...))
			}
			c.paused, since = true, time.Now()
		}
		errs = append(errs, c.container(network, container))
	}
	return e.in(errlist.Join(append(errs, e.index.pruneNetwork(network))...))
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
	var gaveBack error
	c.paused, gaveBack = c.freely(ctx, path.Join(attachmentsDir, escape(network)), func(cni *owned.Dir) {
		names, err = index{cni}.containers(network)
	})
	if gaveBack == nil && c.paused {
		gaveBack = c.clearScratch()
	}
	return names, errlist.Join(err, gaveBack)
}

func (c *collector) container(network, container string) error {
	all, err := c.index.attachments(network, container)
	errs := []error{err}
	for _, a := range all {
		if c.keep(a) {
			continue
		}
		young, err := c.isYoung(a)
		if err == nil && !young {
			err = c.release(a)
		}
		errs = append(errs, err)
	}
	return errlist.Join(append(errs, c.index.prune(network, container))...)
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
