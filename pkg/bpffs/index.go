package bpffs

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/cni-bpffs/cni-bpffs/internal/owned"
)

// An index leads from attachments to endpoint IDs, by one symbolic link that
// nobody follows for each. It is believed only together with a record.
type index struct {
	cni *owned.Dir
}

func indexPath(a Attachment) string { return path.Join(attachmentsDir, a.path()) }

// lookUp returns the ID to which the index leads, 0 if it has no entry.
func (x index) lookUp(a Attachment) (uint16, error) {
	name, err := x.cni.Readlink(indexPath(a))
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
	return id, nil
}

// add makes the index lead from the attachment to the ID.
func (x index) add(a Attachment, id uint16) error {
	entry := indexPath(a)
	if err := x.cni.MkdirAll(path.Dir(entry)); err != nil {
		return err
	}
	return x.cni.SetLink(formatID(id), entry)
}

// remove removes the attachment, and the directories above it that are empty then,
// also those that a kill in the middle of this left empty.
func (x index) remove(a Attachment) error {
	entry := indexPath(a)
	if there, err := x.cni.Exists(entry); err != nil {
		return err
	} else if there { // where a bpffs is mounted read-only the attempt would be an error
		if err := x.cni.Remove(entry); err != nil {
			return err
		}
	}
	container := path.Dir(entry)
	return errors.Join(x.cni.RemoveEmpty(container), x.cni.RemoveEmpty(path.Dir(container)))
}

// prune removes the containers without an interface from a network, and the
// network if it has none.
func (x index) prune(network string) error {
	dir := path.Join(attachmentsDir, escape(network))
	names, err := x.cni.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, name := range names {
		errs = append(errs, x.cni.RemoveEmpty(path.Join(dir, name)))
	}
	return errors.Join(append(errs, x.cni.RemoveEmpty(dir))...)
}

// attachments returns those to the network. Names that this package did not write
// are reported in the error, beside the attachments that are whole.
func (x index) attachments(network string) ([]Attachment, error) {
	if checkName(escape(network)) != nil {
		return nil, nil
	}
	var all []Attachment
	dir := path.Join(attachmentsDir, escape(network))
	containers, err := x.list(dir)
	errs := []error{err}
	for _, container := range containers {
		names, err := x.list(path.Join(dir, escape(container)))
		errs = append(errs, err)
		for _, name := range names {
			all = append(all, Attachment{network, container, name})
		}
	}
	return all, errors.Join(errs...)
}

// list returns the original strings of the names in dir; none if it is missing.
func (x index) list(dir string) (found []string, err error) {
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
	return found, errors.Join(errs...)
}
