package owned

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"strings"
	"syscall"
)

// maxLinks is how many symbolic links the kernel follows on one way (MAXSYMLINKS).
const maxLinks = 40

// ErrOfProcess says that a way leads through a link of a process's directory of
// /proc, such as its root: it leads elsewhere for each process.
var ErrOfProcess = errors.New("a link of /proc differs for each process: write the path that it stands for")

// A Way is where an absolute path leads.
type Way struct {
	Path     string // without symbolic links
	Missing  bool   // the end of it is not there yet
	Dangling string // with Missing: a symbolic link whose target is missing
	Unsafe   error  // [ErrUnsafe]: who else can change where it leads
	At       string // the first directory or link that makes it unsafe
	Dir      Stat   // of that
}

// Follow goes the way that the kernel goes, component by component. What is
// missing at its end stays as it is. The error of a look that failed says nothing
// about what is there, unless [IsAbsent]. [ErrOfProcess] where the way depends on who
// goes it.
//
// Whoever owns a directory on the way, or can write to it, can lead it elsewhere,
// and can detach what is mounted further down by removing the mount point in a
// mount namespace of their own. Only the last component may be anybody's.
func Follow(p string) (Way, error) {
	f := follower{at: "/", rest: strings.Split(p, "/"), after: math.MaxInt}
	err := f.enter("/")
	for err == nil && len(f.rest) > 0 && !f.way.Missing {
		err = f.step()
	}
	if err != nil {
		return Way{}, err
	}
	f.way.Path = path.Join(append([]string{f.at}, f.rest...)...)
	return f.way, nil
}

// A follower is on its way: at a directory, with components before it.
type follower struct {
	way   Way
	at    string // without symbolic links
	dir   Stat   // of it
	rest  []string
	links int
	link  string // the last one that was followed and was no part of another's target
	after int    // how many components are left after its target
}

// enter makes dir, which has no symbolic links in its path, the place to be at.
func (f *follower) enter(dir string) (err error) {
	f.at = dir
	f.dir, err = statPath(dir)
	return err
}

func (f *follower) step() error {
	name := f.rest[0]
	switch name {
	case "", ".":
		f.rest = f.rest[1:]
		return nil
	case "..":
		f.rest = f.rest[1:]
		return f.enter(path.Dir(f.at))
	}
	next := path.Join(f.at, name)
	st, err := statPath(next)
	if os.IsNotExist(err) {
		f.way.Missing = true
		if len(f.rest) > f.after {
			f.way.Dangling = f.link
		}
		f.distrust(next, Stat{}, Stat{})
		return nil
	}
	if err != nil {
		return err
	}
	f.distrust(next, f.made(name, st), st)
	f.rest = f.rest[1:]
	if st.Mode&fs.ModeSymlink != 0 {
		return f.follow(next)
	}
	if !st.Mode.IsDir() {
		return &os.PathError{Op: "open", Path: next, Err: syscall.ENOTDIR}
	}
	f.at, f.dir = next, st
	return nil
}

// follow follows a symbolic link.
func (f *follower) follow(name string) error {
	if len(f.rest) <= f.after {
		f.link, f.after = name, len(f.rest)
	}
	if f.links++; f.links > maxLinks {
		return &os.PathError{Op: "open", Path: name, Err: syscall.ELOOP}
	}
	if onProc, err := IsProc(f.at); err != nil || onProc {
		return cmp.Or(err, fmt.Errorf("%s: %w", name, ErrOfProcess))
	}
	target, err := os.Readlink(name)
	if err != nil {
		return err
	}
	f.rest = append(strings.Split(target, "/"), f.rest...)
	if path.IsAbs(target) {
		return f.enter("/")
	}
	return nil
}

// made describes what somebody has made at the name, where st is what is seen: in a
// directory for everybody the maker of a mount point can remove it, whoever has
// mounted something on it. If that cannot be seen, it is noted.
func (f *follower) made(name string, st Stat) Stat {
	if f.dir.Mode&0o022 == 0 || !st.MountRoot && st.Device == f.dir.Device {
		return st
	}
	below, err := statCovered(here, f.at, name)
	if err != nil {
		if f.way.Unsafe == nil {
			f.way.At, f.way.Dir = f.at, f.dir
			f.way.Unsafe = fmt.Errorf("%w: %s has mode %v, and the owner of the mount point %s in it is unknown: %w",
				ErrUnsafe, f.at, f.dir.Mode, name, err)
		}
		return st
	}
	return below
}

// distrust notes the first reason why others can put something in the place of
// next, which is in the directory where the follower is. What is seen there may be
// mounted over it.
func (f *follower) distrust(next string, st, seen Stat) {
	const harm = "who can redirect %s, or detach what is mounted below it"
	note := func(at string, of Stat, format string, args ...any) {
		f.way.At, f.way.Dir = at, of
		f.way.Unsafe = fmt.Errorf("%w: "+format, append([]any{ErrUnsafe, at}, args...)...)
	}
	open, sticky := f.dir.Mode&0o022 != 0, f.dir.Mode&fs.ModeSticky != 0
	switch {
	case f.way.Unsafe != nil:
	case !trusted(f.dir.Owner):
		note(f.at, f.dir, "%s belongs to user %d, "+harm+": chown root %s", f.dir.Owner, next, f.at)
	case open && !sticky:
		note(f.at, f.dir, "%s has mode %v, so there are other users "+harm+": chmod go-w %s", f.dir.Mode, next, f.at)
	case !trusted(st.Owner) && (st.Inode != seen.Inode || st.Device != seen.Device):
		note(next, st, "the mount point %s belongs to user %d, "+harm+": drain the node, umount %s and chown root %s", st.Owner, next, next, next)
	case !trusted(st.Owner) && (open || st.Mode&fs.ModeSymlink != 0):
		note(next, st, "%s belongs to user %d, "+harm+": chown -h root %s", st.Owner, next, next)
	}
}

// trusted reports whether a user can do what this process can, anyway.
func trusted(uid uint32) bool {
	return uid == 0 || int(uid) == os.Geteuid()
}
