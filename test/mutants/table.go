package main

// A mutant is the plugin without one of its guards.
type mutant struct {
	name, effect string
	file         string
	changes      []change
	tests        []suite // one of which must fail
}

// A change replaces a text that is in the file exactly once.
type change struct{ old, new string }

// A suite is some tests of a package.
type suite struct{ pkg, run string }

// dir returns the directory of the suite's module, and its package there.
func (s suite) dir() (module, pkg string) {
	if s.pkg == "reliability" {
		return "test", "./reliability"
	}
	return ".", "./" + s.pkg
}

func unit(run string) suite { return suite{"pkg/bpffs", run} }

func whole(run string) suite { return suite{"reliability", run} }

// kill is the part of the test that kills anywhere with these scenarios.
func kill(scenarios string) suite { return whole("TestKillAnywhere/scenario/" + scenarios) }

// mutants returns all of them. docs/design.md says what each guard is for.
func mutants() []mutant {
	var all []mutant
	for _, subject := range [][]mutant{mountMutants(), lockMutants(), idMutants(), orderMutants(), ownedMutants(), removalMutants()} {
		all = append(all, subject...)
	}
	return all
}

const (
	mountFile     = "pkg/bpffs/mount.go"
	lockFile      = "pkg/bpffs/lock.go"
	endpointsFile = "pkg/bpffs/endpoints.go"
	allocateFile  = "pkg/bpffs/allocate.go"
	releaseFile   = "pkg/bpffs/release.go"
	ownedFile     = "pkg/bpffs/owned.go"
)

func mountMutants() []mutant {
	crowd := []suite{unit("TestMount"), whole("TestRaces")}
	return []mutant{
		{"the mount lock", "two first ADDs stack mounts", mountFile, []change{{
			"unlock, err := lockDir(ctx, path)", "unlock, err := func() {}, error(nil)",
		}}, crowd},
		{"the second look after the mount lock", "whoever waited mounts again", mountFile, []change{{
			"\tdefer unlock()\n\tif ok, err := isMounted(path); ok || err != nil {\n\t\treturn m, err\n\t}\n", "\tdefer unlock()\n",
		}}, crowd},
		{"the look at what mounting gave", "a stack of another mounter goes unseen", mountFile, []change{{
			"\tok, err := isMounted(path)\n\tif err == nil && !ok {", "\tok, err := true, error(nil)\n\tif err == nil && !ok {",
		}}, []suite{whole("TestMountedMeanwhile")}},
		{"stacked", "a bpffs over a bpffs is used", "pkg/bpffs/look.go", []change{{
			"case whole > 1 || hidden:", "case whole > 100 && hidden:",
		}}, []suite{unit("TestStateOf|TestMount"), whole("TestMountsChange")}},
	}
}

func lockMutants() []mutant {
	return []mutant{
		{"the lock on the records", "processes change them at once", lockFile, []change{{
			"\terr := tryFlock(f)\n", "\terr := error(nil)\n",
		}}, []suite{unit("Locked|ManyProcesses"), whole("TestRaces|TestKillUnderLoad")}},
		{"the deadline of a lock", "a stopped process stops all others", lockFile, []change{{
			"case <-ctx.Done():", "case <-context.Background().Done():",
		}}, []suite{unit("Locked")}},
		{"isAt after the mount lock", "the lock on a covered directory counts", lockFile, []change{{
			"if err == nil && current {", "if err == nil && (current || true) {",
		}}, []suite{unit("TestMount|TestLock")}},
		{"isAt after the lock on the records", "records that were unmounted meanwhile are changed", endpointsFile, []change{{
			"if ok || err != nil && !errors.Is(err, fs.ErrNotExist) {", "if ok || true {",
		}}, []suite{unit("TestRecordsMountedAnew|TestEndpoints")}},
	}
}

func idMutants() []mutant {
	return []mutant{
		{"the look for a record in the search", "an ID is given twice", allocateFile, []change{{
			"\t\t} else if taken {\n", "\t\t} else if false && taken {\n",
		}}, []suite{unit("TestAllocate")}},
		{"the occupied-path check in the search", "a foreign pin is handed out", allocateFile, []change{{
			"\t\t} else if !occupied {\n", "\t\t} else if true || !occupied {\n",
		}}, []suite{unit("TestAllocate"), kill("ADD_that_creates")}},
		{"the occupied-path check of a later ADD", "a foreign pin is recorded as ours", allocateFile, []change{{
			"\t\t} else if occupied {\n", "\t\t} else if false && occupied {\n",
		}}, []suite{unit("TestAllocate")}},
		{"the owner check when the index is read", "what a killed ADD left is believed", endpointsFile, []change{{
			"\tif errors.Is(err, fs.ErrNotExist) || err == nil && owner != a.path() {", "\terr = nil\n\tif owner == \"another\" {",
		}}, []suite{unit("TestAllocateIgnores"), kill("first_ADD|ADD_that_creates")}},
	}
}

func orderMutants() []mutant {
	const index, rename, record = "e.setLink(index, formatID(id))",
		"e.cni.rename(scratchDir, path.Join(endpointsDir, formatID(id)))", "path.Join(endpointsDir, formatID(id))"
	return []mutant{
		{"scratch and rename", "half a record counts", allocateFile, []change{
			{"e.cni.mkdir(scratchDir)", "e.cni.mkdirAll(" + record + ")"},
			{"path.Join(scratchDir, ownerLink)", "path.Join(" + record + ", ownerLink)"},
			{"e.writePins(scratchDir, names)", "e.writePins(" + record + ", names)"},
			{"return " + rename, "return nil"},
		}, []suite{kill("first_ADD|ADD_that_creates")}},
		{"the index before the record", "DEL cannot find what a killed ADD recorded", allocateFile, []change{
			{index, "error(nil)"},
			{"return " + rename, "if err := " + rename + "; err != nil {\n\t\treturn err\n\t}\n\treturn " + index},
		}, []suite{kill("first_ADD|ADD_that_creates")}},
		{"clearing scratch", "what a killed process left gets into the next record", endpointsFile, []change{{
			"\treturn e.cni.removeAll(scratchDir)\n", "\treturn nil\n",
		}}, []suite{unit("TestOpeningClearsScratch"), kill("first_ADD|ADD_that_creates")}},
		{"pins before the record", "a killed DEL leaves pins in no record", releaseFile, []change{
			{"\tvar errs []error\n\tfor dir, names := range pins {", "\tvar errs []error\n" +
				"\tif err := e.cni.rename(path.Join(endpointsDir, formatID(id)), scratchDir); err != nil {\n\t\treturn err\n\t}\n" +
				"\tfor dir, names := range pins {"},
			{"\tif err := e.cni.rename(path.Join(endpointsDir, formatID(id)), scratchDir); err != nil {\n\t\treturn err\n\t}\n\treturn e.cni.removeAll", "\treturn e.cni.removeAll"},
		}, []suite{kill("^DEL$")}},
		{"the record in one step", "a killed DEL leaves half a record", releaseFile, []change{{
			"\tif err := e.cni.rename(path.Join(endpointsDir, formatID(id)), scratchDir); err != nil {\n\t\treturn err\n\t}\n\treturn e.cni.removeAll(scratchDir)",
			"\treturn e.cni.removeAll(path.Join(endpointsDir, formatID(id)))",
		}}, []suite{kill("^DEL$")}},
		{"the index after the record", "DEL cannot find what a killed DEL left", releaseFile, []change{{
			"\t\terr = e.remove(id)\n", "\t\terr = errors.Join(e.unindex(a), e.remove(id))\n",
		}}, []suite{kill("^DEL$")}},
		{"the undoing of an ADD that fails", "a refused map costs an ID", "plugins/bpffs/add.go", []change{{
			"if err != nil && isNew {", "if err != nil && isNew && false {",
		}}, []suite{whole("TestRefused|TestStandardOutput")}},
	}
}

func ownedMutants() []mutant {
	unsafe := []suite{unit("TestUnsafe"), whole("TestNeighbour")}
	return []mutant{
		{"checkRootDir", "others can replace what is in the root", endpointsFile, []change{{
			"if err := checkRootDir(e.root); err != nil {", "if err := error(nil); err != nil {",
		}}, unsafe},
		{"checkRootDir: the owner", "the owner of the root can replace what is in it", ownedFile, []change{{
			"if st.owner != 0 && int(st.owner) != os.Geteuid() {", "if st.owner != 0 && os.Geteuid() < 0 {",
		}}, unsafe},
		{"checkRootDir: the mode", "others can rename our directories", ownedFile, []change{{
			"if st.mode&0o022 != 0 && st.mode&fs.ModeSticky == 0 {", "if false && st.mode&fs.ModeSticky == 0 {",
		}}, unsafe},
		{"checkOwned: a directory", "a link is followed", ownedFile, []change{{
			"if !st.mode.IsDir() {", "if false {",
		}}, unsafe},
		{"checkOwned: the owner", "records of another user are believed", ownedFile, []change{{
			"\tif int(st.owner) != os.Geteuid() {", "\tif os.Geteuid() < 0 {",
		}}, unsafe},
		{"checkOwned: the mode", "records that others can write to are believed", ownedFile, []change{{
			"\tif st.mode&0o022 != 0 {\n", "\tif false {\n",
		}}, unsafe},
		{"checkOwned of the map directory", "maps are pinned where others can replace them", endpointsFile, []change{{
			"err = walkOwned(e.root, e.dir.Prefix(), checkOwned)", "_, err = e.root.stat(e.dir.Prefix())",
		}}, unsafe},
	}
}

func removalMutants() []mutant {
	return []mutant{
		{"walkOwned before pins are removed", "DEL removes in a directory of another user", releaseFile, []change{{
			"err := walkOwned(e.root, dir, checkOwned)", "_, err := e.root.stat(dir)",
		}}, []suite{unit("TestRelease|TestUnsafe"), whole("TestMapDirectoryChanged")}},
		{"the record of a pin that is stuck", "DEL forgets a pin that it could not remove", releaseFile, []change{{
			"if err := errors.Join(errs...); err != nil {", "if err := errors.Join(errs...); err != nil && false {",
		}}, []suite{unit("TestRelease"), whole("TestRefused|TestMountsChange")}},
		{"the network of a GC", "GC removes the attachments of other networks", releaseFile, []change{{
			"e.Attachments(network)", "e.Attachments(\"other\")",
		}}, []suite{kill("GC_of_several")}},
		{"the list of a GC", "GC removes what is valid", "plugins/bpffs/gc.go", []change{{
			"\t\tkeep[v] = true\n", "\t\tkeep[v] = false\n",
		}}, []suite{kill("GC_of_several")}},
	}
}
