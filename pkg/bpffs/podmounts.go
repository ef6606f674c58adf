package bpffs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
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

// A PodMount is a file system that was attached in the volume of a pod.
type PodMount struct {
	Name string // of its directory: "maps", "maps-rw" or, if the pod fills it, "token"
	Path string // of the directory on the node
	id   mounts.ID
}

// Open opens the root of the file system, wherever it is now, for the pod can move the
// directories above it: [fs.ErrNotExist] if it is not mounted any more. Another error
// says what hides it. Before Linux 6.8 that reads the mount table.
func (m PodMount) Open() (*os.File, error) { return m.id.Find(m.Path) }

// IsToken reports whether the pod makes BPF tokens there. It sees no maps, but what it
// pins itself.
func (m PodMount) IsToken() bool { return m.Name == tokenDir }

// podMounts returns those of the endpoint.
func (r record) podMounts() (all []PodMount, err error) {
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
		all = append(all, PodMount{name, target[slash:], mounts.ID(target[:slash])})
	}
	return all, err
}

// addPodMount records a file system that is about to be attached.
func (r record) addPodMount(m PodMount) error {
	if err := r.cni.Mkdir(r.link(podMountsDir)); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return r.cni.Symlink(string(m.id)+m.Path, r.link(podMountsDir)+"/"+m.Name)
}

// clearPodMount removes a file system with what it shows, and then what is recorded
// of it.
func (r record) clearPodMount(m PodMount) error {
	if err := podfs.Clear(m.id, m.Path); err != nil {
		return fmt.Errorf("clearing %s: %w", m.Path, err)
	}
	return r.cni.Remove(r.link(podMountsDir) + "/" + m.Name)
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
	if err == nil {
		err = e.record(id).showAll(v, v.views(decls), isNew, maps)
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrPodVolume, err)
	}
	return e.in(err)
}

// showAll makes the volume show the views, and no others of the endpoint.
func (r record) showAll(v *PodVolume, views []view, isNew bool, maps MapDir) error {
	has, err := r.podMounts()
	if err != nil {
		return err
	}
	shown := make(map[string]bool)
	for _, m := range has {
		i := slices.IndexFunc(views, func(w view) bool { return w.name == m.Name })
		if i >= 0 {
			err := m.check(v, views[i], maps, r.id)
			if err == nil {
				shown[m.Name] = true
				continue
			}
			if !errors.Is(err, ErrPodView) {
				return err
			}
		}
		if err := r.clearPodMount(m); err != nil {
			return err
		}
	}
	for _, w := range views {
		if shown[w.name] {
			continue
		}
		if err := r.show(v, w, isNew, maps); err != nil {
			return err
		}
	}
	return nil
}

// check reports that the file system does not show what is wanted at its place in the
// volume: [ErrPodView]. After any other error that is not known.
func (m PodMount) check(v *PodVolume, w view, maps MapDir, id uint16) error {
	root, err := m.Open()
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, mounts.ErrCovered) {
		return fmt.Errorf("%w: %w", ErrPodView, err)
	}
	if err != nil {
		return err
	}
	defer root.Close()
	ok, err := w.isShown(root, maps, id)
	if err == nil && (!ok || root.Name() != v.place(w.name)) {
		err = fmt.Errorf("%w: %s does not show the maps of endpoint %d: delete the pod to get them again", ErrPodView, m.Path, id)
	}
	return err
}

// show attaches one file system. It is recorded before, so that whoever is killed
// leaves none that nobody knows.
func (r record) show(v *PodVolume, w view, isNew bool, maps MapDir) error {
	f := v.prepared[w.name]
	if w.ofPod && f == nil {
		return fmt.Errorf("%s: no file system is prepared for it", v.place(w.name))
	}
	if !w.ofPod && (f == nil || !isNew) {
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
	m := PodMount{w.name, v.place(w.name), id}
	if err := r.addPodMount(m); err != nil {
		return err
	}
	place, err := podfs.MakeDir(v.dir, v.ifName)
	if err == nil {
		defer place.Close()
		err = f.Attach(place, w.name)
	}
	if err != nil {
		return errlist.Join(err, r.clearPodMount(m))
	}
	return nil
}

func (r record) clearPodMounts(all []PodMount) error {
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
	r := e.record(id)
	if has, err := r.volume(); err != nil {
		return err
	} else if has != "" && has != v.entry() {
		if err := e.hidePod(r); err != nil {
			return err
		}
	}
	if err := e.cni.SetLink(v.entry(), r.link(podVolumeLink)); err != nil {
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
	return r.clearPodMounts(slices.DeleteFunc(all, func(m PodMount) bool { return m.Path != v.place(m.Name) }))
}

// entry returns where the index has the pod's interface, below all volumes.
func (v *PodVolume) entry() string { return escape(v.uid) + "/" + escape(v.ifName) }

// volume returns the entry in the index that leads to the endpoint, empty if it has
// none.
func (r record) volume() (string, error) {
	entry, err := r.cni.Readlink(r.link(podVolumeLink))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	uid, ifName, _ := strings.Cut(entry, "/")
	if err := errlist.Join(checkName(uid), checkName(ifName)); err != nil {
		return "", fmt.Errorf("record of endpoint %d: %s: %q is not the volume of a pod: %w", r.id, podVolumeLink, entry, err)
	}
	return entry, nil
}

// shown returns the UID of the pod in whose volume the endpoint shows something, and
// what. Most endpoints show nothing, which takes one look.
func (r record) shown() (uid string, all []PodMount, err error) {
	entry, err := r.volume()
	if entry == "" || err != nil {
		return "", nil, err
	}
	name, _, _ := strings.Cut(entry, "/")
	if uid, err = unescape(name); err == nil {
		all, err = r.podMounts()
	}
	return uid, all, err
}

// hidePod removes all that the endpoint shows in the volume of a pod, and that the
// index leads to it from there.
func (e *Endpoints) hidePod(r record) error {
	entry, err := r.volume()
	if entry == "" || err != nil {
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
	id, err := e.index.readID(entry)
	if err == nil && id == r.id {
		err = e.cni.Remove(entry)
	}
	errs := []error{err}
	for _, dir := range []string{r.link(podMountsDir), path.Dir(entry), volumesDir} {
		errs = append(errs, e.cni.RemoveEmpty(dir))
	}
	return errlist.Join(errs...)
}

// CheckPod reports what of the declared maps the volume of the pod does not show:
// [ErrPodView]. After any other error that is not known.
func (e *Endpoints) CheckPod(id uint16, prefix string, decls []MapDecl, v *PodVolume) error {
	maps, err := NewMapDir(e.Root(), prefix)
	if err == nil {
		err = e.record(id).checkAll(v, v.views(decls), maps)
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrPodVolume, err)
	}
	return e.in(err)
}

// checkAll reports the first of the views that the volume does not show.
func (r record) checkAll(v *PodVolume, views []view, maps MapDir) error {
	has, err := r.podMounts()
	if err != nil {
		return err
	}
	for _, w := range views {
		i := slices.IndexFunc(has, func(m PodMount) bool { return m.Name == w.name })
		if i < 0 {
			return fmt.Errorf("%w: endpoint %d has nothing at %s: delete the pod to get its maps", ErrPodView, r.id, v.place(w.name))
		}
		if err := has[i].check(v, w, maps, r.id); err != nil {
			return err
		}
	}
	return nil
}
