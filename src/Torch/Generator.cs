using TorchSharp.Native;

namespace TorchSharp;

public static partial class torch
{
    /// <summary>A source of random numbers with a seed and a state that can be saved and restored.</summary>
    public unsafe class Generator : IDisposable
    {
        private nint handle;

        public Generator(ulong seed = 0, Device? device = null)
        {
            this.device = device ?? CPU;
            handle = Library.Check(Library.NewGenerator((long)seed, (int)this.device.type, this.device.index));
        }

        private Generator(nint handle)
        {
            this.handle = handle;
            device = CPU;
        }

        ~Generator() => Dispose(false);

        /// <summary>The generator that operators use where none is given (CPU).</summary>
        public static Generator Default => new(Library.Check(Library.DefaultGenerator()));

        public Device device { get; }

        public IntPtr Handle => handle != 0 ? handle : throw new InvalidOperationException("The generator was disposed.");

        /// <summary>The state: a Byte tensor on the CPU.</summary>
        public Tensor get_state()
        {
            nint state;
            Library.Check(Library.GeneratorState(Handle, &state));
            return new Tensor(state);
        }

        public void set_state(Tensor value)
        {
            Library.Check(Library.SetGeneratorState(Handle, value.Handle));
            GC.KeepAlive(value);
        }

        public Generator manual_seed(long seed)
        {
            Library.Check(Library.SetGeneratorSeed(Handle, seed));
            return this;
        }

        /// <summary>Seeds from the system and returns the seed.</summary>
        public long seed()
        {
            long seed;
            Library.Check(Library.GeneratorSeed(Handle, 1, &seed));
            return seed;
        }

        /// <summary>The seed this generator was given last.</summary>
        public long initial_seed()
        {
            long seed;
            Library.Check(Library.GeneratorSeed(Handle, 0, &seed));
            return seed;
        }

        public void Dispose()
        {
            Dispose(true);
            GC.SuppressFinalize(this);
        }

        protected virtual void Dispose(bool disposing)
        {
            if (handle != 0) Library.ReleaseGenerator(handle);
            handle = 0;
        }
    }

    /// <summary>Seeds every device's generator and returns the CPU's.</summary>
    public static unsafe Generator manual_seed(long seed)
    {
        Library.Check(Library.ManualSeed(seed));
        return Generator.Default;
    }

    /// <summary>Seeds the CPU's generator from the system and returns the seed.</summary>
    public static long seed()
    {
        using var g = Generator.Default;
        return g.seed();
    }

    public static long initial_seed()
    {
        using var g = Generator.Default;
        return g.initial_seed();
    }

    /// <summary>The state of the CPU's generator, a Byte tensor.</summary>
    public static Tensor get_rng_state()
    {
        using var g = Generator.Default;
        return g.get_state();
    }

    public static void set_rng_state(Tensor new_state)
    {
        using var g = Generator.Default;
        g.set_state(new_state);
    }

    public static class random
    {
        public static Tensor get_rng_state() => torch.get_rng_state();
        public static void set_rng_state(Tensor new_state) => torch.set_rng_state(new_state);
        public static Generator manual_seed(long seed) => torch.manual_seed(seed);
        public static long seed() => torch.seed();
        public static long initial_seed() => torch.initial_seed();
    }
}
