using System.Runtime.InteropServices;

namespace TorchSharp.Native;

/// <summary>
/// What must be set before libtorch's libraries load, because they read it once. A variable that the person has set
/// is left as it is. .NET's own Environment.SetEnvironmentVariable does not reach native getenv, hence libc's setenv.
/// The measurements behind the choices are in docs/LOG.md.
/// </summary>
internal static unsafe class ProcessTuning
{
    private const int TrimThreshold = -1, TopPad = -2, MmapThreshold = -3;

    [DllImport("libc")]
    private static extern int setenv(byte* name, byte* value, int overwrite);

    [DllImport("libc")]
    private static extern int mallopt(int parameter, int value);

    internal static void Apply()
    {
        if (!OperatingSystem.IsLinux()) return;

        // Threads that spin while they wait take the cores from those that work: on a busy machine training then all but stops.
        Default("OMP_WAIT_POLICY\0"u8, "PASSIVE\0"u8);

        // A training step frees and takes the same hundreds of megabytes again: keep them, page faults cost 15-20 % of a step.
        mallopt(MmapThreshold, 32 << 20);
        mallopt(TrimThreshold, int.MaxValue);
        mallopt(TopPad, 64 << 20);
    }

    private static void Default(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        fixed (byte* n = name, v = value) setenv(n, v, 0);
    }
}
