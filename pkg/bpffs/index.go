package bpffs

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/cni-bpffs/cni-bpffs/internal/errlist"
	"github.com/cni-bpffs/cni-bpffs/internal/owned"
)

// An index leads from attachments to endpoint IDs, by one symbolic link that
// nobody follows for each. It is believed only together with a record.
type index struct {
	cni *owned.Dir
}

func indexPath(a Attachment) string { return path.Join(attachmentsDir, a.path()) }

// mayHave reports whether there is any trace of the attachment, or of a process that
// was killed, in the records below the root, without opening them. It says so, too,
// where it cannot look.
func (r *rootDir) mayHave(a Attachment) bool {
	if a.Check() != nil {
		return false
	}
	if known, err := r.Exists(path.Join(recordsDir, layoutDir)); !known || err != nil || r.CheckTop() != nil || r.Check(recordsDir) != nil {
		return true // whoever opens the records can say more
	}
	entry := path.Join(recordsDir, indexPath(a))
	for _, name := range []string{path.Join(recordsDir, scratchDir), path.Dir(entry)} {
		if found, err := r.Exists(name); found || err != nil {
			return true
		}
	}
	if checkMounted(r.Dir, entry) != nil {
		return true
	}
	network, err := r.Stat(path.Dir(path.Dir(entry)))
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	return err != nil || network.Links == owned.EmptyLinks
}

// lookUp returns the ID to which the index leads, 0 if it has no entry.
func (x index) lookUp(a Attachment) (uint16, error) {
	id, err := x.readID(indexPath(a))
	if err != nil {
		err = fmt.Errorf("record of %v: %w", a, err)
	}
	return id, err
}

// readID returns the ID to which an entry leads, 0 if it is missing.
func (x index) readID(entry string) (uint16, error) {
	name, err := x.cni.Readlink(entry)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return parseID(name)
}

// add makes the index lead from the attachment to the ID.
func (x index) add(a Attachment, id uint16) error {
	entry := indexPath(a)
	if err := x.cni.MkdirAll(path.Dir(entry)); err != nil {
		return err
	}
	return x.cni.SetLink(formatID(id), entry)
}

// remove removes the attachment, and its container if that has no interface then,
// also one that a kill in the middle of this left empty.
func (x index) remove(a Attachment) error {
	entry := indexPath(a)
	if there, err := x.cni.Exists(entry); err != nil {
		return err
	} else if there { // where a bpffs is mounted read-only the attempt would be an error
		if err := x.cni.Remove(entry); err != nil {
			return err
		}
	}
	return x.prune(a.Network, a.ContainerID)
}

// prune removes the container from a network if it has no interface.
func (x index) prune(network, container string) error {
	return x.cni.RemoveEmpty(path.Join(attachmentsDir, escape(network), escape(container)))
}

// pruneNetwork removes the network if it has no container.
func (x index) pruneNetwork(network string) error {
	if checkName(escape(network)) != nil {
		return nil
	}
	return x.cni.RemoveEmpty(path.Join(attachmentsDir, escape(network)))
}

// containers returns those that have attachments to the network. Names that this
// package did not write are reported in the error, beside the others.
func (x index) containers(network string) ([]string, error) {
	if checkName(escape(network)) != nil {
		return nil, nil
	}
	return x.list(path.Join(attachmentsDir, escape(network)))
}

// attachments returns those of the container to the network.
func (x index) attachments(network, container string) (all []Attachment, err error) {
	names, err := x.list(path.Join(attachmentsDir, escape(network), escape(container)))
	for _, name := range names {
		all = append(all, Attachment{network, container, name})
	}
	return all, err
}

// matching returns the attachments that the query wants of its container.
func (x index) matching(q Query) (all []Attachment, err error) {
	networks := []string{q.Network}
	if q.Network == "" {
		networks, err = x.list(attachmentsDir)
	}
	errs := []error{err}
	for _, network := range networks {
		a := Attachment{network, q.ContainerID, cmp.Or(q.IfName, "any")}
		if a.Check() != nil {
			continue // there can be none
		}
		some := []Attachment{a}
		if q.IfName == "" {
			some, err = x.attachments(network, q.ContainerID)
			errs = append(errs, err)
		}
		if len(some) == 0 {
			errs = append(errs, checkMounted(x.cni, indexPath(a)))
		}
		all = append(all, some...)
	}
	return all, errlist.Join(errs...)
}

// list returns the original strings of the names in dir; none if it is missing.
func (x index) list(dir string) (found []string, err error) {
	if err := x.cni.Check(dir); errors.Is(err, ErrMounted) {
		return nil, err // those are not ours
	}
	names, err := x.cni.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	errs := []error{err}
	for _, name := range names {
		s, err := unescape(name)
		if err != nil {
			errs = append(errs, fmt.Errorf("in the index of endpoints, %s: %w", dir, err))
			continue
		}
		found = append(found, s)
	}
	return found, errlist.Join(errs...)
}
