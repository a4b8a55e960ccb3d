// The seed and the default generator are the process's: tests that draw must not run beside each other.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
