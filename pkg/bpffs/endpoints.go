package bpffs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
)

// MaxEndpoints is how many endpoints a node can have: the IDs 1 to 65535.
const MaxEndpoints = 65535

// Errors of [Endpoints].
var (
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
)

// The directories below the root that hold the records. docs/design.md says what
// each is for and in which order they change.
const (
	recordsDir     = "cni"
	layoutDir      = "layout-1"    // says which version of this layout it is
	endpointsDir   = "endpoints"   // endpoints/<id> is a record, see record.go
	attachmentsDir = "attachments" // attachments/<attachment> -> <id>
	scratchDir     = "scratch"     // an endpoint's record while it is made or removed
)

// Endpoints are the records of which attachment has which endpoint ID and pins.
// An open Endpoints has them to itself: no other process can open them until
// Close. It is not safe for use by several goroutines.
type Endpoints struct {
	dir  MapDir
	root *dir
	cni  *dir // open and locked
}

// CreateEndpoints opens the records in the bpffs mounted at dir's root, after
// making what is missing: the records and the map directory. It waits for
// another process that has them open until ctx is done: [ErrLocked].
//
// [ErrUnsafe] if one of these directories is not a directory of this process's
// user that only it can write to, [ErrNotFound] if the root is not on a bpffs,
// [ErrLayout] if a later version made the records.
func CreateEndpoints(ctx context.Context, dir MapDir) (*Endpoints, error) {
	return openEndpoints(ctx, dir, true)
}

// OpenEndpoints is like [CreateEndpoints], but makes nothing: without records
// the error is [fs.ErrNotExist]. It removes what a killed process left of one.
func OpenEndpoints(ctx context.Context, dir MapDir) (*Endpoints, error) {
	return openEndpoints(ctx, dir, false)
}

func openEndpoints(ctx context.Context, dir MapDir, create bool) (*Endpoints, error) {
	root, err := openBPF(dir.Root())
	if err != nil {
		return nil, err
	}
	e := &Endpoints{dir: dir, root: root}
	if err := e.open(ctx, create); err != nil {
		return nil, errors.Join(e.in(err), e.Close())
	}
	return e, nil
}

// openBPF opens the root of a bpffs. It looks at what it has opened, for the
// bpffs may be unmounted at any time, and what it covered is not ours.
func openBPF(path string) (*dir, error) {
	root, err := openDir(path)
	if err != nil {
		if fi, serr := os.Stat(path); serr == nil && !fi.IsDir() {
			return nil, fmt.Errorf("%s: %w there, it is not a directory", path, ErrNotFound)
		}
		return nil, err
	}
	ok, err := isBPFFile(root.f)
	if err == nil && !ok {
		err = fmt.Errorf("%s: %w there", path, ErrNotFound)
	}
	if err != nil {
		return nil, errors.Join(err, root.close())
	}
	return root, nil
}

// in says of an error in which bpffs it happened.
func (e *Endpoints) in(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("in the bpffs at %s: %w", e.dir.Root(), err)
}

func (e *Endpoints) open(ctx context.Context, create bool) error {
	if !create { // a root without records can be as it likes
		if _, err := e.root.stat(recordsDir); err != nil {
			return err
		}
	}
	if err := checkRootDir(e.root); err != nil {
		return err
	}
	noMapDir, err := e.prepare(create)
	if err != nil {
		return err
	}
	if err := e.takeLock(ctx); err != nil {
		return err
	}
	if err := e.checkLayout(create); err != nil {
		return err
	}
	if err := e.clearScratch(); err != nil || !noMapDir {
		return err
	}
	return walkOwned(e.root, e.dir.Prefix(), makeOwned)
}

// prepare makes sure that the directory of the records is ours. With create it
// makes it if it is missing, unless the map directory is not ours, and says
// whether the map directory is to be made.
func (e *Endpoints) prepare(create bool) (noMapDir bool, err error) {
	if !create {
		return false, checkOwned(e.root, recordsDir)
	}
	err = walkOwned(e.root, e.dir.Prefix(), checkOwned)
	noMapDir = errors.Is(err, fs.ErrNotExist)
	if err != nil && !noMapDir {
		return false, err
	}
	return noMapDir, makeOwned(e.root, recordsDir)
}

// takeLock opens the directory of the records and locks it. While this process
// waited, the bpffs may have been unmounted and another mounted in its place.
func (e *Endpoints) takeLock(ctx context.Context) error {
	cni, err := e.root.open(recordsDir)
	if err != nil {
		return err
	}
	if err := lockFile(ctx, cni.f); err != nil {
		return err
	}
	e.cni = cni
	records := path.Join(e.dir.Root(), recordsDir)
	ok, err := isAt(cni.f, records)
	if ok || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("%s: %w: the bpffs was mounted anew in the meantime", records, ErrLocked)
}

// checkLayout refuses records without the mark of this layout. With create it makes
// it in new ones; without, they are none yet.
func (e *Endpoints) checkLayout(create bool) error {
	if known, err := e.cni.exists(layoutDir); known || err != nil {
		return err
	}
	names, err := e.cni.list(".")
	if err != nil {
		return err
	}
	if len(names) > 0 {
		return e.unknownLayout(names)
	}
	if !create {
		return fmt.Errorf("%s: %w", e.cni.path(layoutDir), fs.ErrNotExist)
	}
	return e.cni.mkdir(layoutDir)
}

func (e *Endpoints) unknownLayout(names []string) error {
	return fmt.Errorf("%w: %s holds %q but no %s; use the version of bpffs that made it",
		ErrLayout, e.cni.path("."), names, layoutDir)
}

// clearScratch removes what a process that was killed left of a record in the
// making, or in removal.
func (e *Endpoints) clearScratch() error {
	if left, err := e.cni.exists(scratchDir); !left || err != nil {
		return err // also in a bpffs that is mounted read-only
	}
	return e.cni.removeAll(scratchDir)
}

// Close lets others open the records.
func (e *Endpoints) Close() error {
	if e.cni == nil {
		return e.root.close()
	}
	return errors.Join(e.cni.close(), e.root.close())
}

// ID returns the endpoint ID of the attachment, [ErrNoEndpoint] if it has none.
func (e *Endpoints) ID(a Attachment) (uint16, error) {
	if err := a.Check(); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrNoEndpoint, err)
	}
	id, err := e.lookUp(a)
	if err == nil && id == 0 {
		err = fmt.Errorf("%w: %v", ErrNoEndpoint, a)
	}
	return id, err
}

// lookUp returns the endpoint ID of the attachment, 0 if it has none.
func (e *Endpoints) lookUp(a Attachment) (uint16, error) {
	name, err := e.cni.readlink(path.Join(attachmentsDir, a.path()))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	id, err := parseID(name)
	if err != nil {
		return 0, fmt.Errorf("record of %v: %w", a, err)
	}
	owner, err := e.owner(id)
	if errors.Is(err, fs.ErrNotExist) || err == nil && owner != a.path() {
		return 0, nil
	}
	return id, err
}

// owner returns the path of the attachment that has the endpoint ID.
func (e *Endpoints) owner(id uint16) (string, error) {
	return e.cni.readlink(path.Join(endpointsDir, formatID(id), ownerLink))
}

// Owner returns the attachment that has the endpoint ID, [ErrNoEndpoint] if none
// has it.
func (e *Endpoints) Owner(id uint16) (Attachment, error) {
	owner, err := e.owner(id)
	if errors.Is(err, fs.ErrNotExist) {
		return Attachment{}, fmt.Errorf("%w: ID %d", ErrNoEndpoint, id)
	}
	if err != nil {
		return Attachment{}, err
	}
	a, err := parseAttachment(owner)
	if err != nil {
		return Attachment{}, fmt.Errorf("record of endpoint %d: %w", id, err)
	}
	return a, nil
}

// Free returns how many endpoint IDs have no owner.
func (e *Endpoints) Free() (int, error) {
	st, err := e.cni.stat(endpointsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return MaxEndpoints, nil
	}
	if err != nil {
		return 0, err
	}
	return MaxEndpoints - int(st.links-emptyDirLinks), nil
}
