using System.Runtime.InteropServices;
using System.Text;

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
    private static extern byte* getenv(byte* name);

    [DllImport("libc")]
    private static extern int mallopt(int parameter, int value);

    internal static void Apply()
    {
        if (!OperatingSystem.IsLinux()) return;

        // Threads that spin while they wait take the cores from those that work: on a busy machine training then all but stops.
        // Not at all is too little: the next loop of a step comes some microseconds later, and to wake a thread takes longer than that.
        // libgomp takes the count before the policy, so that a policy that the person has set stands only without a count of ours.
        if (!IsSet("OMP_WAIT_POLICY\0"u8))
        {
            Default("OMP_WAIT_POLICY\0"u8, "PASSIVE\0"u8);
            Default("GOMP_SPINCOUNT\0"u8, "20000\0"u8);
        }

        // libtorch asks the processor itself, which a virtual machine answers wrongly (1 of 2 cores seen), and knows no limit of a container.
        Default("OMP_NUM_THREADS\0"u8, Encoding.ASCII.GetBytes($"{Cores()}\0"));

        // A training step frees and takes the same hundreds of megabytes again: keep them, page faults cost 15-20 % of a step.
        mallopt(MmapThreshold, 32 << 20);
        mallopt(TrimThreshold, int.MaxValue);
        mallopt(TopPad, 64 << 20);
    }

    /// <summary>Cores, not their hyperthreads, of those processors that this process may use.</summary>
    private static int Cores()
    {
        const string cpus = "/sys/devices/system/cpu";
        if (!Directory.Exists(cpus)) return Environment.ProcessorCount;
        var cores = Directory.GetDirectories(cpus, "cpu*").Select(cpu => Path.Combine(cpu, "topology", "thread_siblings_list")).Where(File.Exists).Select(f => File.ReadAllText(f)).Distinct().Count();
        return cores == 0 ? Environment.ProcessorCount : Math.Min(cores, Environment.ProcessorCount);
    }

    private static bool IsSet(ReadOnlySpan<byte> name)
    {
        fixed (byte* n = name) return getenv(n) is not null;
    }

    private static void Default(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        fixed (byte* n = name, v = value) setenv(n, v, 0);
    }
}
