using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Headless;

/// <summary>What training on this machine rests on, found by looking and measuring.</summary>
/// <param name="Libtorch">Version of libtorch.</param>
/// <param name="LibtorchFile">The libtorch_cpu that is loaded, or null where the system does not tell.</param>
/// <param name="CudaDevices">Whether libtorch sees a CUDA device.</param>
/// <param name="NvidiaDriver">Whether an NVIDIA driver is loaded on this machine.</param>
/// <param name="Processors">Processors that this process may use.</param>
/// <param name="InstructionSets">Those of the processor that matter here, by their names in /proc/cpuinfo.</param>
/// <param name="Threads">Threads that one operator uses.</param>
/// <param name="MatrixLibraries">File names of the loaded libraries that compute matrix products.</param>
/// <param name="OpenBlasKernel">The kernel that OpenBLAS chose, or null where OpenBLAS is not loaded.</param>
/// <param name="Variables">Set environment variables that choose kernels or threads.</param>
public sealed record MachineFacts(
    string Libtorch, string? LibtorchFile, bool CudaDevices, bool NvidiaDriver, string Processor, int Processors, IReadOnlyList<string> InstructionSets,
    int Threads, IReadOnlyList<string> MatrixLibraries, string? OpenBlasKernel, IReadOnlyDictionary<string, string> Variables)
{
    /// <summary>Variables that can force a slower kernel, or fewer or fighting threads, and what they belong to.</summary>
    internal static readonly IReadOnlyDictionary<string, string> Known = new Dictionary<string, string>
    {
        ["OPENBLAS_CORETYPE"] = "OpenBLAS", ["OPENBLAS_NUM_THREADS"] = "OpenBLAS", ["DNNL_MAX_CPU_ISA"] = "oneDNN", ["ONEDNN_MAX_CPU_ISA"] = "oneDNN",
        ["ATEN_CPU_CAPABILITY"] = "libtorch", ["MKL_DEBUG_CPU_TYPE"] = "MKL", ["MKL_NUM_THREADS"] = "MKL", ["OMP_NUM_THREADS"] = "OpenMP",
        ["OMP_WAIT_POLICY"] = "OpenMP", ["GOMP_SPINCOUNT"] = "OpenMP", ["OMP_THREAD_LIMIT"] = "OpenMP", ["FTS_BLAS"] = "the binding",
    };

    private static readonly string[] Sets = ["sse4_1", "sse4_2", "avx", "fma", "avx2", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd", "sve", "bf16"];

    /// <summary>Whether these instruction sets have products of bfloat16; null where the system does not tell any set.</summary>
    public static bool? HasBf16(IReadOnlyList<string> sets) => sets.Count == 0 ? null : sets.Any(s => s is "avx512_bf16" or "amx_bf16" or "bf16");

    /// <summary>The instruction sets of this processor that matter here, as in <see cref="InstructionSets"/>.</summary>
    public static IReadOnlyList<string> SetsOfProcessor() => (OfProcessor("flags") ?? OfProcessor("Features"))?.Split(' ') is { } flags ? [.. Sets.Where(flags.Contains)] : [];

    public static MachineFacts Gather()
    {
        // As the person set them: libtorch's start may add some of its own.
        var variables = Known.Keys.Where(name => Environment.GetEnvironmentVariable(name) is not null).ToDictionary(name => name, name => Environment.GetEnvironmentVariable(name)!);
        using (NewDisposeScope()) _ = ones(8, 8).mm(ones(8, 8)).sum().item<float>();
        var loaded = Lines("/proc/self/maps").Select(l => l.Split(' ', StringSplitOptions.RemoveEmptyEntries)).Where(p => p.Length >= 6 && p[5].Contains(".so")).Select(p => p[5]).Distinct().ToList();
        return new(__version__, loaded.FirstOrDefault(f => Path.GetFileName(f).StartsWith("libtorch_cpu", StringComparison.Ordinal)), cuda_is_available(), File.Exists("/proc/driver/nvidia/version"),
            OfProcessor("model name") ?? RuntimeInformation.ProcessArchitecture.ToString(), Environment.ProcessorCount, SetsOfProcessor(), get_num_threads(),
            [.. loaded.Select(Path.GetFileName).Where(f => f!.Contains("blas", StringComparison.OrdinalIgnoreCase) || f.StartsWith("libdnnl", StringComparison.Ordinal) || f.StartsWith("libmkl", StringComparison.Ordinal)).Distinct().Order(StringComparer.Ordinal)!],
            OpenBlas(loaded), variables);
    }

    /// <summary>
    /// Best rate of a square matrix product, in 10^9 floating-point operations a second (2 n^3 each), after two that are not counted. Takes
    /// about half a second; the dtype's own unit where the processor has one.
    /// </summary>
    public static double MatrixRate(ScalarType dtype, int size = 1024)
    {
        using var scope = NewDisposeScope();
        var (a, b) = (ones(size, size).to_type(dtype), ones(size, size).to_type(dtype));
        var (best, whole) = (double.MaxValue, Stopwatch.StartNew());
        for (var n = 0; n < 3 || whole.Elapsed.TotalSeconds < .5; n++)
        {
            var since = Stopwatch.GetTimestamp();
            using (a.mm(b)) { }
            if (n >= 2) best = Math.Min(best, Stopwatch.GetElapsedTime(since).TotalSeconds);
        }
        return 2.0 * size * size * size / best / 1e9;
    }

    private static string? OpenBlas(IEnumerable<string> loaded)
    {
        foreach (var file in loaded.Where(f => Path.GetFileName(f).Contains("blas", StringComparison.OrdinalIgnoreCase)))
            if (NativeLibrary.TryLoad(file, out var library) && NativeLibrary.TryGetExport(library, "openblas_get_corename", out var entry))
                return Marshal.PtrToStringUTF8(Marshal.GetDelegateForFunctionPointer<CoreName>(entry)());
        return null;
    }

    private static string? OfProcessor(string name) =>
        Lines("/proc/cpuinfo").Select(l => l.Split(':', 2)).Where(p => p.Length == 2 && p[0].Trim() == name).Select(p => p[1].Trim()).FirstOrDefault();

    private static string[] Lines(string file) => File.Exists(file) ? File.ReadAllLines(file) : [];

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate nint CoreName();
}
