package owned

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/cni-bpffs/cni-bpffs/internal/errlist"
)

// RemoveTree removes what is at name with everything in it. It tries to remove a
// directory before it looks inside: a mount point is busy then, and what is
// mounted there, which is somebody else's, stays.
//
// However deep the tree is, it has two directories open: what is below the second
// level is moved up to the first, also what somebody has mounted in it.
func (d *Dir) RemoveTree(name string) error {
	err := d.Remove(name)
	if !errors.Is(err, syscall.ENOTEMPTY) {
		return err
	}
	top, err := d.Open(name)
	if err != nil {
		return err
	}
	defer top.f.Close()
	r := remover{top: top}
	for r.again = true; r.again; {
		r.again = false
		err = r.empty()
	}
	return errlist.Join(err, d.Remove(name))
}

// A remover empties a directory.
type remover struct {
	top   *Dir
	moved int  // how many directories were moved up
	again bool // something was moved up since the directory was listed
}

// empty removes what is in the directory, and moves up what is two levels down.
func (r *remover) empty() error {
	names, err := r.top.f.Readdirnames(-1)
	errs := []error{err}
	for _, name := range names {
		err := r.top.Remove(name)
		if errors.Is(err, syscall.ENOTEMPTY) {
			err = r.flatten(name)
		}
		errs = append(errs, err)
	}
	_, err = r.top.f.Seek(0, 0)
	return errlist.Join(append(errs, err)...)
}

// flatten removes the directory name. What is in it and not empty is moved up.
func (r *remover) flatten(name string) error {
	sub, err := r.top.Open(name)
	if err != nil {
		return err
	}
	defer sub.f.Close()
	names, err := sub.f.Readdirnames(-1)
	errs := []error{err}
	for _, n := range names {
		err := sub.Remove(n)
		if errors.Is(err, syscall.ENOTEMPTY) {
			err = r.up(sub, n)
		}
		errs = append(errs, err)
	}
	return errlist.Join(append(errs, r.top.Remove(name))...)
}

// up moves the directory n of sub to a new name at the top.
func (r *remover) up(sub *Dir, n string) error {
	for {
		r.moved++
		to := fmt.Sprintf("removing%d", r.moved)
		err := moveAt(sub.fd, n, r.top.fd, to)
		if errors.Is(err, syscall.EEXIST) {
			continue
		}
		r.again = r.again || err == nil
		return sub.wrap("rename", n, err)
	}
}
