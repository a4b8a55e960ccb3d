using System.Runtime.InteropServices;

namespace FineTuneStudio.Engine.Training;

/// <summary>Tells a refused allocation from other faults of libtorch, and says in a sentence what to change.</summary>
public static class OutOfMemory
{
    /// <summary>What libtorch's allocators of the processor and of CUDA, and the C++ library, say when the system gives no more.</summary>
    private static readonly string[] Words = ["can't allocate memory", "not enough memory", "out of memory", "std::bad_alloc", "Cannot allocate memory"];

    /// <summary>Whether a fault says that there is not enough memory.</summary>
    public static bool Refused(Exception fault) =>
        fault is OutOfMemoryException || fault is ExternalException && Words.Any(w => fault.Message.Contains(w, StringComparison.OrdinalIgnoreCase));

    /// <param name="what">What did not fit though nothing smaller can be tried.</param>
    /// <param name="keepsBlocks">Whether activation checkpointing would help and is off.</param>
    internal static TrainingException Explain(Exception refused, string what, int maxLength, string kept, bool keepsBlocks = false) =>
        new($"There is not enough memory for {what} at a max length of {maxLength} tokens, so the run cannot go on. {kept} {(keepsBlocks ? "Turn on activation checkpointing, lower" : "Lower")} the max length, train fewer layers, start from a smaller base model, or free memory on this machine. The system said: {refused.Message.Split('\n')[0].TrimEnd('.')}.");
}
