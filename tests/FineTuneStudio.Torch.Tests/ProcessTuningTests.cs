using System.Runtime.InteropServices;
using TorchSharp.Native;

namespace FineTuneStudio.Torch.Tests;

/// The environment as native libraries see it, which they read when they load.
public sealed class ProcessTuningTests : IDisposable
{
    private readonly string?[] before = [Get("OMP_WAIT_POLICY"), Get("GOMP_SPINCOUNT")];

    [SkippableFact]
    public void Threads_spin_a_little_where_nothing_is_set()
    {
        Skip.IfNot(OperatingSystem.IsLinux());
        Assert.Equal(("PASSIVE", "20000"), Tuned(null, null));
        Assert.Equal(("PASSIVE", "7"), Tuned(null, "7"));
    }

    [SkippableFact]
    public void A_wait_policy_that_the_person_has_set_stands_without_a_spin_count_that_would_overrule_it()
    {
        Skip.IfNot(OperatingSystem.IsLinux());
        Assert.Equal(("ACTIVE", null), Tuned("ACTIVE", null));
        Assert.Equal(("ACTIVE", "7"), Tuned("ACTIVE", "7"));
    }

    private static (string?, string?) Tuned(string? policy, string? spins)
    {
        Put("OMP_WAIT_POLICY", policy);
        Put("GOMP_SPINCOUNT", spins);
        ProcessTuning.Apply();
        return (Get("OMP_WAIT_POLICY"), Get("GOMP_SPINCOUNT"));
    }

    private static string? Get(string name) => OperatingSystem.IsLinux() ? Marshal.PtrToStringUTF8(getenv(name)) : null;

    private static void Put(string name, string? value) => _ = value is null ? unsetenv(name) : setenv(name, value, 1);

    public void Dispose()
    {
        if (!OperatingSystem.IsLinux()) return;
        Put("OMP_WAIT_POLICY", before[0]);
        Put("GOMP_SPINCOUNT", before[1]);
    }

    [DllImport("libc")]
    private static extern nint getenv(string name);

    [DllImport("libc")]
    private static extern int setenv(string name, string value, int overwrite);

    [DllImport("libc")]
    private static extern int unsetenv(string name);
}
