package install

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
)

// How soon to look again.
const (
	quiet     = 50 * time.Millisecond  // after the last of several events
	busy      = 500 * time.Millisecond // after the first of them, if they do not end
	always    = time.Minute            // without any
	unwatched = time.Second            // where a directory cannot be watched
	pauseMost = 2 * time.Second        // between two of many changes
	fightTime = 30 * time.Second       // that counts as many
	fightMany = 10                     // of which the log tells
)

// Wait is [Installer.Install] as soon as there is a main plugin's configuration.
func (in Installer) Wait(ctx context.Context) error {
	return in.follow(ctx, func(err error, _ int) bool { return !waits(err) })
}

// Watch installs the plugin as soon as it can, and again whenever somebody undoes
// it, until ctx is done; then it returns nil and leaves everything in place. An
// error that waiting cannot fix ends it, unless everything was in place before. Before
// the first look and after each one it reports the status.
func (in Installer) Watch(ctx context.Context) error {
	done, s := false, Status{Reason: "the first look at the node has not ended"}
	in.report(s)
	err := in.follow(ctx, func(err error, changes int) bool {
		s = s.after(err, done && changes > 0)
		if ctx.Err() == nil {
			in.report(s)
		}
		done = done || err == nil
		// A single plugin's file may be what a node has until its main plugin comes.
		return err != nil && !waits(err) && !errors.Is(err, conflist.ErrSingle) && !done
	})
	if ctx.Err() != nil {
		return nil //nolint:nilerr // being ended is how it ends
	}
	return err
}

// waits reports whether the error goes away when the main plugin does its work.
func waits(err error) bool {
	return errors.Is(err, conflist.ErrNoMain) || errors.Is(err, conflist.ErrInvalid) || errors.Is(err, errChanged)
}

// follow installs at each change in the directories until stop says that the
// outcome is final. It gets how many changes that made.
func (in Installer) follow(ctx context.Context, stop func(err error, changes int) bool) error {
	w, err := newWatcher(in.BinDir, in.ConfDir)
	if err != nil {
		return err
	}
	defer w.Close()
	h := history{log: in.Log}
	in.Log = h.change
	for {
		w.arm() // before looking, so that what comes after the look is seen
		before := h.made
		err := in.Install(ctx)
		if stop(err, h.made-before) {
			return err
		}
		if ctx.Err() != nil {
			return errors.Join(err, errEnd(ctx))
		}
		h.outcome(err)
		if werr := w.wait(ctx, h.pause(time.Now())); werr != nil {
			return errors.Join(err, werr)
		}
	}
}

// A history is what happened so far: it keeps the log short, and two that fight
// for a file slow.
type history struct {
	log     func(format string, args ...any)
	told    string      // the last error in the log
	made    int         // changes of all looks
	changes []time.Time // of the last [fightTime]
}

func (h *history) change(format string, args ...any) {
	h.log(format, args...)
	h.made++
	h.changes = append(h.changes, time.Now())
	if len(h.changes) == fightMany {
		h.log("%d changes within %v: something else keeps undoing them; if it is the main plugin, "+
			"configure it to allow other plugins (Cilium: cni.exclusive=false)", fightMany, fightTime)
	}
}

// outcome logs an error that is not the last one.
func (h *history) outcome(err error) {
	now := ""
	if err != nil {
		now = err.Error()
	}
	if now != h.told && err != nil {
		h.log("waiting: %v", err)
	}
	h.told = now
}

// pause returns how long to leave things as they are: nothing, or longer and
// longer after many changes.
func (h *history) pause(now time.Time) time.Duration {
	for len(h.changes) > 0 && now.Sub(h.changes[0]) > fightTime {
		h.changes = h.changes[1:]
	}
	n := max(len(h.changes)-3, 0) // putting everything there is two or three
	return min(quiet*time.Duration(n*n), pauseMost)
}

// errEnd says why waiting ended.
func errEnd(ctx context.Context) error {
	return fmt.Errorf("waiting ended: %w", context.Cause(ctx))
}
