using System.Globalization;

namespace FineTuneStudio.Engine.Training;

/// <summary>Memory that the system can still give.</summary>
public static class FreeMemory
{
    /// <summary>Bytes that the system can give without swapping, less where a container has a limit of its own; null where neither says.</summary>
    public static long? Bytes()
    {
        if (!OperatingSystem.IsLinux()) return GC.GetGCMemoryInfo() is var all && all.TotalAvailableMemoryBytes > 0 ? Math.Max(0, all.TotalAvailableMemoryBytes - all.MemoryLoadBytes) : null;
        var line = File.ReadLines("/proc/meminfo").FirstOrDefault(l => l.StartsWith("MemAvailable:", StringComparison.Ordinal));
        long? free = line is null ? null : 1024 * long.Parse(line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
        return Number("/sys/fs/cgroup/memory.max") is { } limit && Number("/sys/fs/cgroup/memory.current") is { } taken ? Math.Min(free ?? long.MaxValue, Math.Max(0, limit - taken)) : free;
    }

    private static long? Number(string path) => File.Exists(path) && long.TryParse(File.ReadAllText(path).Trim(), CultureInfo.InvariantCulture, out var number) ? number : null;
}
