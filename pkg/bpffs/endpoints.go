package bpffs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"time"

	"github.com/cni-bpffs/cni-bpffs/internal/errlist"
	"github.com/cni-bpffs/cni-bpffs/internal/flock"
	"github.com/cni-bpffs/cni-bpffs/internal/owned"
)

// MaxEndpoints is how many endpoints a bpffs can have: the IDs 1 to 65535.
const MaxEndpoints = 65535

// Errors of [Endpoints].
var (
	// ErrNoRecords: the bpffs has no records of endpoints.
	ErrNoRecords = errors.New("no endpoints are recorded")
	// ErrNoEndpoint: the attachment or the ID has no record.
	ErrNoEndpoint = errors.New("no endpoint")
	// ErrFull: all IDs, or all whose paths are not occupied, are in use.
	ErrFull = errors.New("no endpoint ID is free")
	// ErrOccupied: something that belongs to nobody's record is at a path.
	ErrOccupied = errors.New("the path is occupied")
	// ErrPinStuck: a pin of an endpoint cannot be removed.
	ErrPinStuck = errors.New("cannot remove a pin")
	// ErrLayout: the records were written by a version that this one does not know.
	ErrLayout = errors.New("unknown layout of the endpoint records")
	// ErrUnsafe: another user could have prepared or could change a directory.
	// Nothing below it is read, written or removed.
	ErrUnsafe = owned.ErrUnsafe
	// ErrNotOurs: nothing in a directory for the records shows that it is ours. It
	// comes together with ErrUnsafe.
	ErrNotOurs = errors.New("no record is visible there")
)

// The directories below the root that hold the records. docs/design.md says what
// each is for and in which order they change.
const (
	recordsDir     = "cni"
	layoutDir      = "layout-1"    // says which version of this layout it is
	endpointsDir   = "endpoints"   // endpoints/<id> is a record, see record.go
	attachmentsDir = "attachments" // attachments/<attachment> -> <id>, see index.go
	scratchDir     = "scratch"     // a record while it is made or removed
)

// Endpoints are the records of one bpffs: which attachment has which endpoint ID
// and pins. An open Endpoints has them to itself: no other process can open them
// until Close. It is not safe for use by several goroutines.
type Endpoints struct {
	root   *rootDir
	cni    *owned.Dir // the directory of the records
	index  index
	unlock func()    // which also closes cni; nil while others can have the records
	since  time.Time // the records are had
	asIs   bool      // nothing is changed, not even what a killed process left
}

// CreateEndpoints opens the records in the bpffs mounted at root, after making
// them if they are missing. It waits for another process that has them open:
// [ErrLocked].
//
// [ErrUnsafe] if the root or the directory of the records is not a directory of
// this process's user that only it can write to, [ErrNotMounted] if the root is
// not on a bpffs, [ErrStacked] if it hides one, [ErrLayout] if a later version
// made the records.
func CreateEndpoints(ctx context.Context, root string) (*Endpoints, error) {
	return openRoot(ctx, root, true)
}

// OpenEndpoints is like [CreateEndpoints], but makes nothing: [ErrNoRecords]. It
// removes what a killed process left of a record.
func OpenEndpoints(ctx context.Context, root string) (*Endpoints, error) {
	return openRoot(ctx, root, false)
}

func openRoot(ctx context.Context, root string, create bool) (*Endpoints, error) {
	top, err := openTop(root)
	if err != nil {
		return nil, err
	}
	return openEndpoints(ctx, top, create)
}

// openEndpoints opens the records below top, which it closes if it cannot.
func openEndpoints(ctx context.Context, top *rootDir, create bool) (*Endpoints, error) {
	e := &Endpoints{root: top}
	err := e.open(ctx, create)
	if err == nil {
		return e, nil
	}
	return nil, errlist.Join(e.in(e.noneHidden(err)), e.Close())
}

// noneHidden is err, or if that is ErrNoRecords, why there may be some.
func (e *Endpoints) noneHidden(err error) error {
	if errors.Is(err, ErrNoRecords) {
		if hidden := checkHidden(e.Root()); hidden != nil {
			return hidden
		}
	}
	return err
}

// Root returns the root of the bpffs, without symbolic links.
func (e *Endpoints) Root() string { return e.root.Path(".") }

// CheckWay reports, as [ErrUnsafe], which other user can change where the path of
// the root leads, or detach what is mounted there.
func (e *Endpoints) CheckWay() error { return e.in(e.root.way.Unsafe) }

// CheckDirs reports what [CheckDirs] would, without opening the root again.
func (e *Endpoints) CheckDirs(prefix string) error { return e.in(e.root.checkDirs(prefix)) }

// portion is how long somebody who has much to do keeps the records before others
// can have them.
const portion = 10 * time.Millisecond

// Yield gives the records back for as long as others want them, and opens them
// again, if they were kept for 10 ms; else it does nothing. Whoever has much to do
// calls it before each step, so that no ADD waits long. It reports whether others
// could change what was read before. [ErrLocked] if the records could not be had
// again in time, or are others by then, and ctx.Err() if ctx is done; only Close is
// left to be called after an error.
func (e *Endpoints) Yield(ctx context.Context) (gaveBack bool, err error) {
	gaveBack, err = e.yield(ctx)
	return gaveBack, e.in(err)
}

// yield is Yield, without saying in which bpffs it failed.
func (e *Endpoints) yield(ctx context.Context) (gaveBack bool, err error) {
	if !e.lost() && time.Since(e.since) < portion {
		return false, nil
	}
	return true, e.pause(ctx)
}

// pause gives the records back and opens them again.
func (e *Endpoints) pause(ctx context.Context) error {
	e.giveBack()
	err := ctx.Err() // a free lock is had without a look at it
	if err == nil {
		err = e.lock(ctx, flock.Politely)
	}
	if err == nil && !e.asIs {
		err = e.clearScratch() // of whoever was killed in the meantime
	}
	return err
}

// lost reports whether the records could not be had again after others had them.
func (e *Endpoints) lost() bool { return e.unlock == nil }

// crowded is how many directories in one take longer than a portion to list, about.
const crowded = 4096

// freely lets do list the directory name of the records. A crowded one it lists while
// others can have the records, and reports that: what comes or goes meanwhile may
// be among the names or not.
func (e *Endpoints) freely(ctx context.Context, name string, do func(cni *owned.Dir)) (gaveBack bool, err error) {
	st, err := e.cni.Stat(name)
	if err != nil || st.Links < crowded {
		do(e.cni)
		return false, nil
	}
	cni, err := e.root.Open(recordsDir)
	if err != nil {
		return false, err
	}
	defer cni.Close()
	e.giveBack()
	do(cni)
	return true, e.pause(ctx)
}

// list returns the names in the directory name of the records, sorted. Others can
// have the records meanwhile.
func (e *Endpoints) list(ctx context.Context, name string) (names []string, err error) {
	_, lost := e.freely(ctx, name, func(cni *owned.Dir) {
		names, err = cni.List(name)
		slices.Sort(names)
	})
	if lost != nil {
		err = lost
	}
	return names, err
}

// giveBack lets others have the records.
func (e *Endpoints) giveBack() {
	if e.unlock != nil {
		e.unlock()
	}
	e.unlock = nil
}

// Close lets others open the records.
func (e *Endpoints) Close() error {
	e.giveBack()
	return e.root.Close()
}

// in says of an error in which bpffs it happened.
func (e *Endpoints) in(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("in the bpffs at %s: %w", e.Root(), err)
}

func (e *Endpoints) open(ctx context.Context, create bool) error {
	if !create { // a root without records can be as it likes
		if found, err := e.root.Exists(recordsDir); err != nil {
			return err
		} else if !found {
			return ErrNoRecords
		}
	}
	check := e.root.Check
	if create {
		check = e.root.Make
	}
	err := e.root.CheckTop()
	if err == nil {
		err = check(recordsDir)
	}
	if err != nil {
		return absentRecords(e.root.whose(err))
	}
	if err := e.lock(ctx, flock.File); err != nil {
		return absentRecords(err)
	}
	if err := e.checkLayout(create); err != nil {
		return err
	}
	if err := e.checkParts(); err != nil {
		return err
	}
	return e.clearScratch()
}

// checkParts reports that something is mounted on a part of the records.
func (e *Endpoints) checkParts() error {
	for _, name := range []string{endpointsDir, attachmentsDir} {
		if err := checkMounted(e.cni, path.Join(name, "any")); err != nil {
			return err
		}
	}
	return nil
}

// whose says of an error about the directory of the records whether they are in it
// all the same: others can have got it since.
func (r *rootDir) whose(err error) error {
	if !errors.Is(err, ErrUnsafe) {
		return err
	}
	cni, cerr := r.Open(recordsDir)
	if owned.IsAbsent(cerr) {
		return fmt.Errorf("%w (%w)", err, ErrNotOurs)
	}
	if cerr != nil {
		return errlist.Join(err, cerr)
	}
	defer cni.Close()
	for _, name := range []string{layoutDir, endpointsDir} {
		found, lerr := cni.Exists(name)
		if lerr != nil {
			return errlist.Join(err, lerr)
		}
		if found {
			return fmt.Errorf("%w (%s holds records of endpoints, so do not remove it: bpffsctl doctor says what to type)", err, cni.Path("."))
		}
	}
	return fmt.Errorf("%w (%w)", err, ErrNotOurs)
}

// absentRecords is the error of a look at the directory of the records.
func absentRecords(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNoRecords
	}
	return err
}

// lock opens the directory of the records and locks it. While this process waited,
// the bpffs may have been unmounted and another mounted in its place.
func (e *Endpoints) lock(ctx context.Context, take func(context.Context, *os.File) (func(), error)) error {
	cni, err := e.root.Open(recordsDir)
	if err != nil {
		return err
	}
	unlock, err := take(ctx, cni.File())
	if err != nil {
		return err
	}
	e.cni, e.index, e.unlock, e.since = cni, index{cni}, unlock, time.Now()
	records := cni.Path(".")
	ok, err := flock.IsAt(cni.File(), records)
	if ok {
		return nil
	}
	e.giveBack()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("%s: %w: the bpffs was mounted again in the meantime", records, ErrLocked)
}

// checkLayout refuses records without the mark of this layout. With create it makes
// it in new ones; without, they are none yet.
func (e *Endpoints) checkLayout(create bool) error {
	if known, err := e.cni.Exists(layoutDir); known || err != nil {
		return err
	}
	names, err := e.cni.List(".")
	if err != nil || slices.Contains(names, layoutDir) { // an ADD has just made it, and this is a look without the lock
		return err
	}
	if len(names) > 0 {
		return e.unknownLayout(names)
	}
	if !create {
		return ErrNoRecords
	}
	return e.cni.Mkdir(layoutDir)
}

func (e *Endpoints) unknownLayout(names []string) error {
	return fmt.Errorf("%w: %s holds %q but no %s; use the version of bpffs that made it",
		ErrLayout, e.cni.Path("."), names, layoutDir)
}

// clearScratch removes what a process that was killed left of a record that it
// made or removed.
func (e *Endpoints) clearScratch() error {
	if left, err := e.cni.Exists(scratchDir); !left || err != nil {
		return err // also in a bpffs that is mounted read-only
	}
	return e.cni.RemoveTree(scratchDir)
}

// ID returns the endpoint ID of the attachment, [ErrNoEndpoint] if it has none.
func (e *Endpoints) ID(a Attachment) (uint16, error) {
	id, err := e.lookUp(a)
	return id, e.in(err)
}

func (e *Endpoints) lookUp(a Attachment) (uint16, error) {
	if err := a.Check(); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrNoEndpoint, err)
	}
	id, err := e.index.lookUp(a)
	if err != nil {
		return 0, err
	}
	if id == 0 {
		return 0, noEndpoint(a, checkMounted(e.cni, indexPath(a)))
	}
	r := e.record(id)
	owner, err := r.owner()
	if errors.Is(err, fs.ErrNotExist) || err == nil && owner != a.path() {
		return 0, noEndpoint(a, checkMounted(e.cni, r.link(ownerLink)))
	}
	return id, err
}

// checkMounted reports that something is mounted on a directory on the way to name,
// so that what is not found there may be hidden.
func checkMounted(dir *owned.Dir, name string) error {
	err := owned.Walk(path.Dir(name), dir.CheckWhole)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrUnsafe) {
		return nil
	}
	return err
}

// noEndpoint is err, or if that is nil, that the attachment has no endpoint.
func noEndpoint(a Attachment, err error) error {
	if err == nil {
		err = fmt.Errorf("%w: %v", ErrNoEndpoint, a)
	}
	return err
}

// Owner returns the attachment that has the endpoint ID, [ErrNoEndpoint] if none
// has it.
func (e *Endpoints) Owner(id uint16) (Attachment, error) {
	a, err := e.record(id).attachment()
	return a, e.in(err)
}

// FreeIDs returns how many endpoint IDs have no record.
func (e *Endpoints) FreeIDs() (int, error) {
	st, err := e.cni.Stat(endpointsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return MaxEndpoints, nil
	}
	if err != nil {
		return 0, e.in(err)
	}
	return MaxEndpoints - int(st.Links-owned.EmptyLinks), nil
}

func (e *Endpoints) record(id uint16) record {
	return record{e.cni, id, path.Join(endpointsDir, formatID(id))}
}
