using System.Globalization;
using System.Runtime.InteropServices;

namespace FineTuneStudio.Engine.Training;

/// <summary>How far the process's resident memory rises above where it stood at the beginning.</summary>
internal sealed class PeakMemory
{
    private readonly bool systemKeepsIt;
    private readonly long before;
    private long highest;

    /// <summary>Gives back what the process holds unused, notes its level, and on Linux sets the system's own mark of the peak back to it.</summary>
    public PeakMemory()
    {
        Trim();
        systemKeepsIt = ResetMark();
        before = highest = Environment.WorkingSet;
    }

    /// <summary>Bytes above the level at the beginning, 0 or more. Where the system keeps no mark, only the moments of the calls are seen.</summary>
    public long Rise()
    {
        highest = Math.Max(highest, Math.Max(Environment.WorkingSet, systemKeepsIt ? Mark() : 0));
        return highest - before;
    }

    /// <summary>Memory that glibc keeps for the next tensors goes back to the system.</summary>
    public static void Trim()
    {
        if (!OperatingSystem.IsLinux()) return;
        try { malloc_trim(0); }
        catch (Exception e) when (e is DllNotFoundException or EntryPointNotFoundException) { } // Another libc, such as musl, keeps little.
    }

    /// <summary>The value 5 sets VmHWM back, see proc(5).</summary>
    private static bool ResetMark()
    {
        if (!OperatingSystem.IsLinux()) return false;
        try
        {
            using var marks = new FileStream("/proc/self/clear_refs", FileMode.Open, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
            marks.Write("5"u8);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException) { return false; }
    }

    private static long Mark()
    {
        var line = File.ReadLines("/proc/self/status").FirstOrDefault(l => l.StartsWith("VmHWM:", StringComparison.Ordinal));
        return line is null ? 0 : 1024 * long.Parse(line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
    }

    [DllImport("libc", EntryPoint = "malloc_trim")]
    private static extern int malloc_trim(nuint keep);
}
