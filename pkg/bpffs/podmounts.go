package bpffs

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/internal/errlist"
	"github.com/cni-bpffs/cni-bpffs/internal/mounts"
	"github.com/cni-bpffs/cni-bpffs/internal/podfs"
)

// What the records hold of the file systems in volumes of pods. docs/design.md says
// in which order it changes.
const (
	podVolumeLink = "pod-volume" // endpoints/<id>/pod-volume -> <pod UID>/<interface>
	podMountsDir  = "pod-mounts" // endpoints/<id>/pod-mounts/<directory> -> <mount ID><path>
	volumesDir    = "volumes"    // volumes/<pod UID>/<interface> -> <id>
)

// A podMount is a file system that was attached in the volume of a pod.
type podMount struct {
	name string // of its directory
	id   mounts.ID
	path string
}

// podMounts returns those of the endpoint.
func (r record) podMounts() (all []podMount, err error) {
	names, err := r.cni.List(r.link(podMountsDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	slices.Sort(names)
	for _, name := range names {
		target, lerr := r.cni.Readlink(r.link(podMountsDir) + "/" + name)
		if lerr != nil {
			return nil, lerr
		}
		slash := strings.IndexByte(target, '/')
		if slash <= 0 {
			return nil, fmt.Errorf("record of endpoint %d: %s: %q is not a mount in a volume", r.id, podMountsDir, target)
		}
		all = append(all, podMount{name, mounts.ID(target[:slash]), target[slash:]})
	}
	return all, err
}

// addPodMount records a file system that is about to be attached.
func (r record) addPodMount(m podMount) error {
	if err := r.cni.Mkdir(r.link(podMountsDir)); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return r.cni.Symlink(string(m.id)+m.path, r.link(podMountsDir)+"/"+m.name)
}

// clearPodMount removes a file system with what it shows, and then what is recorded
// of it.
func (r record) clearPodMount(m podMount) error {
	if err := podfs.Clear(m.id, m.path); err != nil {
		return fmt.Errorf("clearing %s in the pod's volume: %w", m.path, err)
	}
	return r.cni.Remove(r.link(podMountsDir) + "/" + m.name)
}

// ShowPod makes the volume of the pod show those of the declared maps of the endpoint
// id that it may see, whose pins are in the map directory prefix. What an earlier
// sandbox of the pod left there is removed. It uses what was prepared where isNew,
// so that the endpoint has no other maps; else, and where nothing was, it opens the
// pins. What shows the right maps already stays.
//
// [ErrPodVolume] with the reason, after which [Endpoints.Release] removes whatever
// came to be.
func (e *Endpoints) ShowPod(id uint16, isNew bool, prefix string, decls []MapDecl, v *PodVolume) error {
	maps, err := NewMapDir(e.Root(), prefix)
	if err == nil {
		err = e.takeVolume(id, v)
	}
	if err != nil {
		return e.in(err)
	}
	r := e.record(id)
	has, err := r.podMounts()
	if err != nil {
		return e.in(err)
	}
	for _, w := range v.views(decls) {
		i := slices.IndexFunc(has, func(m podMount) bool { return m.name == w.name })
		if i >= 0 {
			if v.keeps(has[i], w, maps, id) {
				has = slices.Delete(has, i, i+1)
				continue
			}
			if err := r.clearPodMount(has[i]); err != nil {
				return e.in(err)
			}
			has = slices.Delete(has, i, i+1)
		}
		if err := r.show(v, w, isNew, maps); err != nil {
			return e.in(err)
		}
	}
	return e.in(r.clearPodMounts(has))
}

// keeps reports whether what is recorded shows what is wanted already.
func (v *PodVolume) keeps(m podMount, w view, maps MapDir, id uint16) bool {
	return m.path == v.place(w.name) && m.check(w, maps, id) == nil
}

// check reports that the file system does not show what is wanted.
func (m podMount) check(w view, maps MapDir, id uint16) error {
	root, err := m.id.Find(m.path)
	if err != nil {
		return err
	}
	defer root.Close()
	ok, err := w.isShown(root, maps, id)
	if err == nil && (!ok || root.Name() != m.path) {
		err = fmt.Errorf("%s does not show the maps of endpoint %d: delete the pod to get them again", m.path, id)
	}
	return err
}

// show attaches one file system. It is recorded before, so that whoever is killed
// leaves none that nobody knows.
func (r record) show(v *PodVolume, w view, isNew bool, maps MapDir) error {
	f := v.prepared[w.name]
	if f == nil || !isNew {
		var err error
		if f, err = w.fromPins(maps, r.id); err != nil {
			return err
		}
		defer f.Close()
	}
	id, err := f.ID()
	if err != nil {
		return err
	}
	m := podMount{w.name, id, v.place(w.name)}
	if err := r.addPodMount(m); err != nil {
		return err
	}
	place, err := podfs.MakeDir(v.dir, v.ifName)
	if err == nil {
		defer place.Close()
		err = f.Attach(place, w.name)
	}
	if err != nil {
		return errlist.Join(fmt.Errorf("%w: %w", ErrPodVolume, err), r.clearPodMount(m))
	}
	return nil
}

func (r record) clearPodMounts(all []podMount) error {
	var errs []error
	for _, m := range all {
		errs = append(errs, r.clearPodMount(m))
	}
	return errlist.Join(errs...)
}

// takeVolume makes the index lead from the pod's interface to the endpoint. Another
// one that it led to is of an earlier sandbox, and shows nothing in the volume any
// more.
func (e *Endpoints) takeVolume(id uint16, v *PodVolume) error {
	entry := path.Join(volumesDir, v.entry())
	before, err := e.index.readID(entry)
	if err != nil {
		return err
	}
	if before != 0 && before != id {
		if err := e.record(before).leaveVolume(v); err != nil {
			return err
		}
	}
	if err := e.cni.SetLink(v.entry(), e.record(id).link(podVolumeLink)); err != nil {
		return err
	}
	if err := e.cni.MkdirAll(path.Dir(entry)); err != nil {
		return err
	}
	return e.cni.SetLink(formatID(id), entry)
}

// leaveVolume removes what the endpoint shows in the volume.
func (r record) leaveVolume(v *PodVolume) error {
	all, err := r.podMounts()
	if err != nil {
		return err
	}
	return r.clearPodMounts(slices.DeleteFunc(all, func(m podMount) bool { return m.path != v.place(m.name) }))
}

// entry returns where the index has the pod's interface, below all volumes.
func (v *PodVolume) entry() string { return escape(v.uid) + "/" + escape(v.ifName) }

// hidePod removes all that the endpoint shows in the volume of a pod, and that the
// index leads to it from there.
func (e *Endpoints) hidePod(r record) error {
	entry, err := r.cni.Readlink(r.link(podVolumeLink))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	all, err := r.podMounts()
	if err == nil {
		err = r.clearPodMounts(all)
	}
	if err != nil {
		return err
	}
	entry = path.Join(volumesDir, entry)
	if id, err := e.index.readID(entry); err != nil || id != r.id {
		return err
	}
	return errlist.Join(e.cni.Remove(entry), e.cni.RemoveEmpty(path.Dir(entry)), e.cni.RemoveEmpty(volumesDir))
}

// CheckPod reports what of the declared maps the volume of the pod does not show:
// [ErrPodVolume].
func (e *Endpoints) CheckPod(id uint16, prefix string, decls []MapDecl, v *PodVolume) error {
	maps, err := NewMapDir(e.Root(), prefix)
	if err != nil {
		return e.in(err)
	}
	has, err := e.record(id).podMounts()
	if err != nil {
		return e.in(err)
	}
	for _, w := range v.views(decls) {
		i := slices.IndexFunc(has, func(m podMount) bool { return m.name == w.name && m.path == v.place(w.name) })
		if i < 0 {
			return e.in(fmt.Errorf("%w: endpoint %d has nothing at %s: delete the pod to get its maps", ErrPodVolume, id, v.place(w.name)))
		}
		if err := has[i].check(w, maps, id); err != nil {
			return e.in(fmt.Errorf("%w: %w", ErrPodVolume, err))
		}
	}
	return nil
}
