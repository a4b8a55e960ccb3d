namespace FineTuneStudio.Engine.Training;

/// <summary>Seeds of random choices that a resumed run must make again: they depend on what they are for and on nothing that was drawn before.</summary>
internal static class RowSeed
{
    /// <summary>The three numbers mixed (SplitMix64, Steele et al. 2014): neighbouring rows and epochs get unrelated seeds, the same in every process.</summary>
    public static int Of(int seed, long epoch, long row) => (int)(Mix(Mix(Mix((ulong)seed) ^ (ulong)epoch) ^ (ulong)row) >> 33);

    /// <summary>SplitMix64: one number to another that looks random, and no two to the same.</summary>
    public static ulong Mix(ulong x)
    {
        x = unchecked(x + 0x9E3779B97F4A7C15);
        x = unchecked((x ^ x >> 30) * 0xBF58476D1CE4E5B9);
        x = unchecked((x ^ x >> 27) * 0x94D049BB133111EB);
        return x ^ x >> 31;
    }
}
