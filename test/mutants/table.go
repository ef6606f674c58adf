package main

// A mutant is the plugin without one of its guards.
type mutant struct {
	name, effect string
	dir          string // of the package with the guard
	changes      []change
	tests        []suite // one of which must fail
}

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
	library = "pkg/bpffs"
	cmds    = "plugins/bpffs"
	no      = "error(nil)"
)

func mountMutants() []mutant {
	crowd := []suite{unit("TestMount"), whole("TestRaces")}
	return []mutant{
		{
			"the mount lock", "two first ADDs stack mounts", library,
			[]change{instead("mountRoot", "lockDir", "func() {}, error(nil)")}, crowd,
		},
		{
			"the second look after the mount lock", "whoever waited mounts again", library,
			[]change{never("mountRoot", "isMounted").theLast()}, crowd,
		},
		{
			"the look at what mounting gave", "a stack of another mounter goes unseen", library,
			[]change{instead("mountNew", "isMounted", "true, error(nil)")}, []suite{whole("TestMountedMeanwhile")},
		},
		{
			"stacked", "a bpffs over a bpffs is used", library,
			[]change{never("stateOf", "whole", "hidden")}, []suite{unit("TestStateOf|TestMount"), whole("TestMountsChange")},
		},
	}
}

func lockMutants() []mutant {
	return []mutant{
		{
			"the lock on the records", "processes change them at once", library,
			[]change{instead("lockFile", "tryFlock", no)}, []suite{unit("Locked|ManyProcesses"), whole("TestRaces|TestKillUnderLoad")},
		},
		{
			"the deadline of a lock", "a stopped process stops all others", library,
			[]change{instead("lockFile", "Done", "context.Background().Done()")}, []suite{unit("Locked")},
		},
		{
			"isAt after the mount lock", "the lock on a covered directory counts", library,
			[]change{always("lockDir", "current")}, []suite{unit("TestMount|TestLock")},
		},
		{
			"isAt after the lock on the records", "records that were unmounted meanwhile are changed", library,
			[]change{always("takeLock", "ok")}, []suite{unit("TestRecordsMountedAnew|TestEndpoints")},
		},
	}
}

func idMutants() []mutant {
	return []mutant{
		{
			"the look for a record in the search", "an ID is given twice", library,
			[]change{never("search", "taken")}, []suite{unit("TestAllocate")},
		},
		{
			"the occupied-path check in the search", "a foreign pin is handed out", library,
			[]change{always("search", "occupied")}, []suite{unit("TestAllocate"), kill("ADD_that_creates")},
		},
		{
			"the occupied-path check of a later ADD", "a foreign pin is recorded as ours", library,
			[]change{never("addPins", "occupied")}, []suite{unit("TestAllocate")},
		},
		{
			"the owner check when the index is read", "what a killed ADD left is believed", library,
			[]change{instead("lookUp", "owner", "a.path(), error(nil)")},
			[]suite{unit("TestAllocateIgnores"), kill("first_ADD|ADD_that_creates")},
		},
	}
}

func orderMutants() []mutant {
	const record, scratch = "path.Join(endpointsDir, formatID(id))", "scratchDir"
	return []mutant{
		{
			"scratch and rename", "half a record counts", library, []change{
				instead("insert", "mkdir", "e.cni.mkdirAll("+record+")"), renamed("insert", scratch, record), instead("insert", "rename", no),
			}, []suite{kill("first_ADD|ADD_that_creates")},
		},
		{
			"the index before the record", "DEL cannot find what a killed ADD recorded", library, []change{
				instead("insert", "setLink", no),
				instead("insert", "rename", "func() error {\nif err := $0; err != nil {\nreturn err\n}\nreturn e.setLink(index, formatID(id))\n}()"),
			}, []suite{kill("first_ADD|ADD_that_creates")},
		},
		{
			"clearing scratch", "what a killed process left gets into the next record", library,
			[]change{instead("clearScratch", "removeAll", no)}, []suite{unit("TestOpeningClearsScratch"), kill("first_ADD|ADD_that_creates")},
		},
		{
			"pins before the record", "a killed DEL leaves pins in no record", library,
			[]change{move("Endpoints.remove", "rename", "unpin")}, []suite{kill("^DEL$")},
		},
		{
			"the record in one step", "a killed DEL leaves half a record", library,
			[]change{drop("Endpoints.remove", "rename"), renamed("Endpoints.remove", scratch, record)}, []suite{kill("^DEL$")},
		},
		{
			"the index after the record", "DEL cannot find what a killed DEL left", library,
			[]change{instead("Release", "remove", "errors.Join(e.unindex(a), $0)")}, []suite{kill("^DEL$")},
		},
		{
			"the undoing of an ADD that fails", "a refused map costs an ID", cmds,
			[]change{never("prepare", "isNew")}, []suite{whole("TestRefused|TestStandardOutput")},
		},
	}
}

func ownedMutants() []mutant {
	unsafe := []suite{unit("TestUnsafe"), whole("TestNeighbour")}
	guard := func(name, effect string, c change) mutant { return mutant{name, effect, library, []change{c}, unsafe} }
	return []mutant{
		guard("checkRootDir", "others can replace what is in the root", instead("Endpoints.open", "checkRootDir", no)),
		guard("checkRootDir: the owner", "the owner of the root can replace what is in it", never("checkRootDir", "owner")),
		guard("checkRootDir: the mode", "others can rename our directories", never("checkRootDir", "mode")),
		guard("checkOwned: a directory", "a link is followed", never("checkOwned", "IsDir")),
		guard("checkOwned: the owner", "records of another user are believed", never("checkOwned", "owner")),
		guard("checkOwned: the mode", "records that others can write to are believed", never("checkOwned", "mode", "0o022")),
		guard("checkOwned of the map directory", "maps are pinned where others can replace them",
			instead("prepare", "walkOwned", "func() error {\n_, err := e.root.stat(e.dir.Prefix())\nreturn err\n}()")),
	}
}

func removalMutants() []mutant {
	return []mutant{
		{
			"walkOwned before pins are removed", "DEL removes in a directory of another user", library,
			[]change{instead("unpin", "walkOwned", "func() error {\n_, err := e.root.stat(dir)\nreturn err\n}()")},
			[]suite{unit("TestRelease|TestUnsafe"), whole("TestMapDirectoryChanged")},
		},
		{
			"the record of a pin that is stuck", "DEL forgets a pin that it could not remove", library,
			[]change{never("Endpoints.remove", "errors.Join")}, []suite{unit("TestRelease"), whole("TestRefused|TestMountsChange")},
		},
		{
			"the network of a GC", "GC removes the attachments of other networks", library,
			[]change{instead("Collect", "Attachments", `e.Attachments("other")`)}, []suite{kill("GC_of_several")},
		},
		{
			"the list of a GC", "GC removes what is valid", cmds,
			[]change{renamed("GC", "true", "false")}, []suite{kill("GC_of_several")},
		},
	}
}
